"""Where every connection of a test run is judged, and sent to where it belongs.

A listener on SQLAlchemy's class-level ``do_connect`` event sees each new connection of each engine,
wherever and whenever the engine was made; `driver_hooks` brings those that drivers make by
themselves. A connection to the test database goes to its endpoint, or to the running test's clone;
any other is refused before it is made. It is always a real connection of its own driver: nothing of
the application is patched, and no engine has to be named.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Dialect, Engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from pgsandbox import guard
from pgsandbox.errors import DatabaseNotRequested, Fact, ForeignDatabase, GuardError, PgSandboxError
from pgsandbox.sandbox import (
    call_sites,
    cleanup,
    driver_connections,
    driver_hooks,
    refused_connections,
    rewriting,
    statement_places,
)
from pgsandbox.sandbox.clones import Clone
from pgsandbox.sandbox.endpoint.sessions import Executed, Late
from pgsandbox.sandbox.explanation import explain
from pgsandbox.sandbox.fixture_data import FixtureData
from pgsandbox.sandbox.late_threads import LateThreads
from pgsandbox.sandbox.rewriting import Destination
from pgsandbox.sandbox.routes import ROUTE, Route
from pgsandbox.sandbox.statement_places import StatementPlaces
from pgsandbox.sandbox.test_database import TestDatabase
from pgsandbox.sandbox.uncommitted import Found, UncommittedWork

E = TypeVar("E", bound=PgSandboxError)

_ALLOWED = "allowed"
_LOOP = "pgsandbox.loop"
"""Where a pool's record says to which event loop a real connection belongs."""
_PLAIN = frozenset({"host", "port", "user", "password", "database"})
"""Arguments that every driver of PostgreSQL reads alike."""
_REFUSALS = 100
"""How many are kept for reports: a thread may try without an end."""
_LOCK_TIMEOUT = "SET lock_timeout = '3s'"


@dataclass(eq=False)
class _Building:
    """The building of one schema: where it is made, and what was opened for it."""

    url: URL
    opened: list[Any] = field(default_factory=list)
    """The pools' records of the connections."""

    @property
    def target(self) -> guard.Target:
        """What a connection to it opens."""
        return driver_hooks.target_of_url(self.url)


_installed: list[ConnectionInterceptor] = []
"""Those that are installed in this process, the one that decides last."""


class ConnectionInterceptor:
    """Decides for every new connection: the test's transaction, its clone, or refusal."""

    def __init__(
        self,
        *,
        allowed: tuple[guard.Target, ...] = (),
        files: tuple[URL, ...] = (),
        allows_memory: bool = False,
    ) -> None:
        self.databases: list[TestDatabase] = []
        """The test databases of this run; empty until the first test asks for one."""
        self.redirected: dict[guard.Target, TestDatabase] = {}
        """Databases whose connections go to a test database instead of being refused."""
        self.running = "no test is running"
        """What a message says of the present moment: a test's node id, or a phase."""
        self._is_in_teardown = False
        """Whether the endpoints know that the test's body is over."""
        self.is_requested = False
        """Whether the running test asked for the database."""
        self.refused: list[PgSandboxError] = []
        """What was refused to the running test: the first hundred. Other threads may add to it."""
        self.refused_to_others: list[PgSandboxError] = []
        """The same of what was none of the test's: threads asked that were there before it."""
        self.settings: tuple[Fact, ...] = ()
        """What a refusal says of the settings that decide, with their sources."""
        self.threads = LateThreads()
        self.loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        """The event loops on which a connection was opened."""
        self.fixture_data = FixtureData(self)
        """What fixtures of wider scopes have made."""
        self.places = StatementPlaces()
        """Where the running test's statements came from."""
        self._allowed = allowed
        self._files = files
        """Databases of other kinds, such as SQLite's, that may be opened untouched."""
        self._allows_memory = allows_memory
        """Whether SQLite may be opened in memory where no test has asked for the database."""
        self._arranging: weakref.WeakSet[Dialect] = weakref.WeakSet()
        self._shared: weakref.WeakKeyDictionary[Dialect, Dialect] = weakref.WeakKeyDictionary()
        """For a dialect that blocks, the asynchronous one whose transactions it shares."""
        self._last_routes: weakref.WeakKeyDictionary[Dialect, Route] = weakref.WeakKeyDictionary()
        self._sessions: weakref.WeakKeyDictionary[Session, threading.Thread] = (
            weakref.WeakKeyDictionary()
        )
        self._here = threading.local()
        self._watching: list[Callable[[], None]] = []
        self._are_drivers_free = False
        self._made: dict[int, Any] = {}
        """What a connection is that is being made, by the identity of the pool's record of it.

        Other tasks may connect before it is there.
        """
        self._pools: weakref.WeakSet[Pool] = weakref.WeakSet()
        self._listeners: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
            (Engine, "do_connect", self._connect),
            (Engine, "handle_error", explain),
            (Pool, "connect", self._connected),
            (Pool, "checkout", self._checked_out),
            (Session, "after_begin", self._session_began),
            (Session, "transient_to_pending", self._added),
            # A listener of the engine's own, as before_cursor_execute, would have SQLAlchemy look
            # for listeners of all kinds in every connection and at every statement.
            (Engine, "do_execute", self._sending),
            (Engine, "do_executemany", self._sending),
            (Engine, "do_execute_no_params", self._sending),
        )

    def install(self) -> None:
        """Register the SQLAlchemy listeners and the drivers' hooks.

        Of several, the one that was installed last decides, and the others wait.
        """
        _installed.append(self)
        for target, name, listener in self._listeners:
            event.listen(target, name, listener, insert=True)
        self._watching.append(call_sites.watch_engines())
        if not self._are_drivers_free:
            self._watching.append(driver_hooks.watch(self._called))

    def remove(self) -> None:
        """Leave every engine and every driver alone again."""
        if self in _installed:
            _installed.remove(self)
        for target, name, listener in self._listeners:
            if event.contains(target, name, listener):
                event.remove(target, name, listener)
        for stop in self._watching:
            stop()
        self._watching.clear()

    def outlive_the_run(self) -> None:
        """Stay in everybody's way to the end of the process: handlers at exit, threads, hooks."""
        self.say("pytest has ended, and its process goes on", is_requested=False)

    def free_the_drivers(self) -> None:
        """Judge engines only, and no longer what calls a driver's own connect."""
        self._are_drivers_free = True
        self._watching.pop()()

    # -- the running test ---------------------------------------------------------------------

    def begin(self, test: str) -> None:
        """*test* is about to be set up, and has not asked for the database yet."""
        self.running = test
        self.refused.clear()
        self.refused_to_others.clear()
        self.threads.begin(test)

    def take_late(self) -> list[Late]:
        """Return who went on after a test that was over, since this was asked last."""
        found, self.threads.late = self.threads.late, []
        for database in self.databases:
            found += database.late
            database.late = []
        return found

    def enter(self, test: str, *, looks_for_uncommitted: bool = True) -> None:
        """From now on connections belong to *test*, which asked for the database."""
        self.running, self.is_requested = test, True
        self._is_in_teardown = False
        self.refused.clear()
        self.refused_to_others.clear()
        self.places.begin()
        for database in self.databases:
            database.enter(test, looks_for_uncommitted=looks_for_uncommitted)

    def say(self, running: str, *, is_requested: bool) -> None:
        """Let messages name *running*, and let connections pass or not."""
        self.running, self.is_requested = running, is_requested
        self._is_in_teardown = False
        for database in self.databases:
            database.say(running, is_requested=is_requested)

    def use_clones(self, clones: Mapping[str, Clone]) -> None:
        """For the running test, connect to *clones* for real, each instead of its database."""
        for database in self.databases:
            database.clone = clones.get(database.name)
        event.listen(Engine, "before_cursor_execute", self._executing)
        event.listen(Engine, "handle_error", _refused_by_clone)

    def _leave_clones(self) -> None:
        clones = [each.clone for each in self.databases if each.clone is not None]
        for database in self.databases:
            database.clone = None
        for clone in clones:
            clone.close()
        if event.contains(Engine, "before_cursor_execute", self._executing):
            event.remove(Engine, "before_cursor_execute", self._executing)
            event.remove(Engine, "handle_error", _refused_by_clone)

    def begin_teardown(self, timeout: float = 10.0) -> None:
        """The test's body is over: what its fixtures' teardown rolls back, nobody looks at.

        A statement that a thread still runs after *timeout* seconds is cancelled.
        """
        if self._is_in_teardown and timeout:
            return
        self._is_in_teardown = True
        for database in self.databases:
            database.begin_teardown(timeout)

    def check(self) -> list[PgSandboxError]:
        """Return what must make the test fail as it stands, at the end of its body."""
        found = [error for each in self.databases for error in each.check()]
        self._is_in_teardown = True
        return found

    def uncommitted(self, find_held: Callable[[], Iterable[Any]]) -> list[Found]:
        """Return what the application has not committed, at the end of the test's body.

        *find_held* returns what the test and its fixtures hold.
        """
        return [
            found
            for each in self.databases
            if each.seen is not None
            for found in UncommittedWork(each, self.places, self.running, find_held).find()
        ]

    def is_committed(self, found: Found) -> bool:
        """Whether the teardown of the test's fixtures has committed what was *found*."""
        return any(found.key in each.committed for each in self.databases)

    def mark_reported(self, error: BaseException) -> None:
        """Remember that *error* has made the running test fail already."""
        for database in self.databases:
            database.mark_reported(error)

    def leave(self) -> list[PgSandboxError]:
        """End the running test's transactions and return what must make the test fail.

        Sessions that the test used are closed, so that no object of theirs reaches the next test.
        """
        self.begin_teardown()
        self.close_sessions()
        errors = self._finish(is_over=True)
        threads = self.threads.end()
        for database in self.databases if threads else []:
            database.hold(threads, self.running)
        self._leave_clones()
        self.running, self.is_requested = "no test is running", False
        return errors

    def finish_early(self) -> list[PgSandboxError]:
        """End the running test's transactions before the teardown of a wider fixture.

        Returns what must make the test fail.
        """
        self.begin_teardown()
        self.close_sessions()
        return self._finish(is_over=False)

    def _finish(self, *, is_over: bool) -> list[PgSandboxError]:
        before, self.is_requested = self.is_requested, False  # for threads that go on
        errors = [
            error for each in self.databases for error in each.finish(self.running, is_over=is_over)
        ]
        self.fixture_data.restore()
        self.is_requested, self._is_in_teardown = before, False
        return errors

    @property
    def is_in_clone(self) -> bool:
        """Whether the running test has databases of its own."""
        return any(each.clone is not None for each in self.databases)

    def arrange_with(self, engine: Engine, *, shares_with: Engine | None = None) -> None:
        """Mark *engine* as the one that the test's own session uses.

        Its connections share the transactions of those of *shares_with*, whose driver is
        asynchronous, so that code which can't await may write in them.
        """
        self._arranging.add(engine.dialect)
        if shares_with is not None:
            self._shared[engine.dialect] = shares_with.dialect

    def is_arranging(self, dialect: Dialect) -> bool:
        """Whether the engine of *dialect* is one that the test's own session uses."""
        return dialect in self._arranging

    @contextlib.contextmanager
    def building(self, url: URL) -> Iterator[None]:
        """Send every connection of this thread to *url*, for real, while its schema is built.

        Migrations open whatever their environment configures; they reach the fresh test database
        and no other. What an engine's pool keeps of it is closed at the end, so that the database
        can be copied. Two connections that wait for each other are an error after 3 seconds.
        """
        before = self._building
        self._here.building = building = _Building(url)
        try:
            yield
        finally:
            self._here.building = before
            for record in building.opened:
                if record.dbapi_connection is not None and not record.in_use:
                    with contextlib.suppress(Exception):  # its event loop may be closed
                        cleanup.close_real(record.dbapi_connection)

    @property
    def _building(self) -> _Building | None:
        """What this thread builds at the moment."""
        building: _Building | None = getattr(self._here, "building", None)
        return building

    # -- the listeners ------------------------------------------------------------------------

    def _connect(
        self, dialect: Dialect, record: Any, args: list[Any], parameters: dict[str, Any]
    ) -> Any:
        """Make an engine's connection, where it may be made: SQLAlchemy's ``do_connect``."""
        __tracebackhide__ = True
        # Listeners of the application's own come first: they may say who it is, and where to go.
        for listener in dialect.dispatch.do_connect:
            is_waiting = isinstance(getattr(listener, "__self__", None), ConnectionInterceptor)
            if not is_waiting:
                made = listener(dialect, record, args, parameters)
                if made is not None:
                    return made
        if dialect.name != "postgresql":
            self._judge_another_kind(dialect, args, parameters)
            return self._allowed_connection(dialect, record, args, parameters)
        if dialect.driver not in driver_connections.SUPPORTED:
            self._judge_another_driver(dialect, args, parameters)
            return self._allowed_connection(dialect, record, args, parameters)
        found = self._decide(dialect, tuple(args), parameters)
        if found is None:
            return self._allowed_connection(dialect, record, args, parameters)
        to, what = found
        if isinstance(what, Route):
            self._last_routes[dialect] = what
        given = rewriting.of_dialect(dialect, tuple(args), parameters, to)
        with driver_hooks.ours(given):
            made = dialect.connect(**given)
        self._made[id(record)] = what
        if isinstance(what, Clone):
            what.track(made, record)
        elif isinstance(what, _Building):
            what.opened.append(record)
            with contextlib.closing(made.cursor()) as cursor:
                cursor.execute(_LOCK_TIMEOUT)
            made.commit()
        return made

    def _allowed_connection(
        self, dialect: Dialect, record: Any, args: list[Any], parameters: dict[str, Any]
    ) -> Any:
        made = dialect.connect(*args, **parameters)
        self._made[id(record)] = _ALLOWED
        return made

    def _judge_another_kind(
        self, dialect: Dialect, args: list[Any], parameters: dict[str, Any]
    ) -> None:
        __tracebackhide__ = True
        url = refused_connections.url_of_another_kind(dialect, args, parameters)
        is_known = any(refused_connections.is_same(url, each) for each in self._files)
        is_memory = refused_connections.is_in_memory(dialect, args, parameters)
        if not is_known and not (is_memory and self._may_be_in_memory):
            raise self._another_kind(url, dialect)

    def _judge_another_driver(
        self, dialect: Dialect, args: list[Any], parameters: dict[str, Any]
    ) -> None:
        """Let a driver that is not known pass to what `allow` names, if its arguments say all."""
        __tracebackhide__ = True
        target = guard.target_of(tuple(args), parameters, {})
        is_plain = parameters.keys() <= _PLAIN and parameters.keys() >= {"host", "database"}
        if not is_plain or not any(guard.is_same_database(target, each) for each in self._allowed):
            raise self._not_judged(
                refused_connections.url_of(dialect.driver, target), dialect.driver, dialect
            )

    @property
    def _decides(self) -> bool:
        return bool(_installed) and _installed[-1] is self

    @property
    def _may_be_in_memory(self) -> bool:
        return self._allows_memory and not self.is_requested and self._building is None

    def _decide(
        self, dialect: Dialect, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> tuple[Destination, Any] | None:
        """Return where a connection goes, and what it is; None where it goes where it would.

        Raises:
            GuardError: it may not be made.
        """
        __tracebackhide__ = True
        building = self._building
        if building is not None:
            return rewriting.destination_of(building.url), building
        if dialect.is_async:
            self.loops.add(asyncio.get_running_loop())
        target = driver_hooks.target_of_call(dialect.driver, args, parameters)
        if any(guard.is_same_database(target, allowed) for allowed in self._allowed):
            return None
        database = self._database_of(target)
        url = refused_connections.url_of(dialect.driver, target)
        if not self.is_requested:
            raise self._not_requested(url, dialect)
        if database is None:
            raise self._foreign(url, dialect)
        if database.clone is not None:
            return rewriting.destination_of(database.clone.url), database.clone
        is_arranging = dialect in self._arranging
        label = (
            "the test's own session"
            if is_arranging
            else f"an engine that connected at {call_sites.place()}"
        )
        beside = self._shared.get(dialect)
        shared = self._last_routes.get(beside) if beside is not None else None
        route, to = database.route(
            label,
            is_arranging=is_arranging,
            lets_isolation_pass=dialect._on_connect_isolation_level not in (None, "AUTOCOMMIT"),
            shares_with=shared.token if shared is not None else None,
        )
        if route is not None and dialect.is_async:
            route.loop = weakref.ref(asyncio.get_running_loop())
        return to, route

    def _connected(self, connection: Any, record: Any) -> None:
        """Remember what a new connection is: the pool's ``connect``."""
        __tracebackhide__ = True
        if not self._decides:
            return
        made = self._made.pop(id(record), None)
        if made is None and driver_connections.driver_of(connection) is not None:
            made = self._judge(connection)
        elif made is None:
            made = self._judge_stranger(connection)
        record.info[ROUTE] = made
        if isinstance(made, Clone) and driver_connections.is_async(connection):
            record.info[_LOOP] = weakref.ref(asyncio.get_running_loop())
        if isinstance(made, Route):
            made.database.routes.taken(made, connection, record)

    def _checked_out(self, connection: Any, record: Any, proxy: Any) -> None:
        """Let a pool hand out a connection that belongs to the running test: ``checkout``."""
        __tracebackhide__ = True
        route = record.info.get(ROUTE)
        if route is None or route is _ALLOWED or not self._decides:
            return
        if isinstance(route, _Building):
            if route is not self._building:
                raise exc.DisconnectionError("this connection is from the building of a schema")
            return
        if isinstance(route, Clone):
            if not any(route is each.clone for each in self.databases):
                raise exc.DisconnectionError("this connection is from an earlier test")
            loop = record.info.get(_LOOP)
            if loop is not None and loop() is not asyncio.get_running_loop():
                cleanup.abandon(record)
                raise exc.DisconnectionError("this connection is of another event loop")
            thread = threading.current_thread()
            route.is_used_by(record, thread)
            self.threads.uses(thread, self.running)
            return
        self._check_route(route, connection, record)

    def _check_route(self, route: Route, connection: Any, record: Any) -> None:
        __tracebackhide__ = True
        if self._building is not None or route.database.clone is not None:
            raise exc.DisconnectionError("this connection is to the endpoint")
        if not self.is_requested:
            raise self._not_requested(route.database.url)
        if route.loop is not None:
            self._pools.add(record._ConnectionRecord__pool)
            if route.loop() is not asyncio.get_running_loop():
                cleanup.abandon(record)
                raise exc.DisconnectionError("this connection is of another event loop")
        if not route.is_usable:
            raise exc.DisconnectionError("this connection is from before")
        if not route.is_set_up:
            route.set_up_done()
        if route.is_held:
            route.database.let_go(route)
        route.thread = thread = threading.current_thread()
        self.threads.uses(thread, self.running)

    def _executing(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        clone = connection.info.get(ROUTE)
        if isinstance(clone, Clone):
            where = f"an engine used at {call_sites.place()}"
            clone.executed.append(Executed(statement, where))

    def _session_began(self, session: Session, transaction: Any, connection: Any) -> None:
        route = connection.info.get(ROUTE)
        if isinstance(route, Route):
            route.thread = threading.current_thread()
            route.session = weakref.ref(session)
        if self.is_requested and not self.fixture_data.takes(session, connection):
            self._sessions[session] = threading.current_thread()

    def _added(self, session: Session, instance: Any) -> None:
        """Tell what the test itself adds to the application's session: ``transient_to_pending``."""
        is_tests_own = getattr(session.bind, "dialect", None) in self._arranging
        if not self.is_requested or is_tests_own:
            return
        if self.places.is_in_test_code(type(instance).__qualname__):
            statement_places.arrange(session, instance._sa_instance_state)

    def _sending(self, cursor: Any, statement: str, *others: Any) -> None:
        """Note where a statement comes from: the dialect's ``do_execute`` and its like."""
        connection = others[-1].root_connection
        try:
            route = connection.info.get(ROUTE)
        except NotImplementedError:  # SQLAlchemy gets to know the server, before anybody connects
            return
        if isinstance(route, Route) and route.is_set_up:
            if route.user is None or route.user() is not connection:
                route.user = weakref.ref(connection)
            session = route.session() if route.session is not None else None
            self.places.note(route.token, statement, session, is_arranging=route.is_arranging)

    def _called(self, target: guard.Target, driver: str) -> Destination | None:
        """Judge a call of *driver*'s own connect, of which SQLAlchemy's events know nothing.

        Returns where it goes instead; None where it goes where it would.

        Raises:
            GuardError: it may not be made.
        """
        __tracebackhide__ = True
        if not self._decides:
            return None
        with contextlib.suppress(RuntimeError):  # there is none: a driver that blocks
            self.loops.add(asyncio.get_running_loop())
        building = self._building
        known = (*self._allowed, *([building.target] if building else []))
        if any(guard.is_same_database(target, each) for each in known):
            return None
        url = refused_connections.url_of(driver, target)
        if not self.is_requested:
            raise self._not_requested(url)
        database = self._database_of(target)
        if database is None:
            raise self._foreign(url)
        if database.clone is not None:
            return rewriting.destination_of(database.clone.url)
        place = call_sites.place()
        label = f"a connection of {driver} made at {place}"
        self.threads.uses(threading.current_thread(), self.running)
        route, to = database.route(label, is_raw=True)
        if route is not None:
            self.places.note(route.token, "", None)
        if route is not None and call_sites.is_of_a_library(place):
            route.thread = None  # it is made for whoever asks the library for it
        return to

    # -- decisions ----------------------------------------------------------------------------

    def _database_of(self, target: guard.Target) -> TestDatabase | None:
        for database in self.databases:
            known = [database.target, database.endpoint_target, database.tcp_target()]
            known += [database.clone.target] if database.clone else []
            known += database.former
            if any(each and guard.is_same_database(target, each) for each in known):
                return database
        for redirected, database in self.redirected.items():
            if guard.is_same_database(target, redirected):
                return database
        return None

    def _judge(self, connection: Any) -> Any:
        """Say what to do with a real connection that an engine's own ``creator`` made.

        Raises:
            GuardError: it goes anywhere else than to the test database; it was closed.
        """
        __tracebackhide__ = True
        target = driver_connections.target_of(connection)
        building = self._building
        if building and guard.is_same_database(target, building.target):
            return building
        if any(guard.is_same_database(target, allowed) for allowed in self._allowed):
            return _ALLOWED
        for database in self.databases if self.is_requested else []:
            clone = database.clone
            if clone is not None and guard.is_same_database(target, clone.target):
                return clone
            here = database.endpoint_target
            if clone is None and here and guard.is_same_database(target, here):
                assert database.endpoint is not None
                route = Route(database, database.endpoint, "", is_set_up=True)
                if driver_connections.is_async(connection):
                    route.loop = weakref.ref(asyncio.get_running_loop())
                return route
        cleanup.close_real(connection)
        url = refused_connections.url_of(driver_connections.driver_of(connection), target)
        raise self._foreign(url) if self.is_requested else self._not_requested(url)

    def _judge_stranger(self, connection: Any) -> Any:
        """Let a connection pass that an engine's ``creator`` made, if it is SQLite's and may be.

        Raises:
            GuardError: it may not, or it can't be told where it goes; it was closed.
        """
        __tracebackhide__ = True
        files = driver_connections.files_of_sqlite(connection)
        urls = [URL.create("sqlite", database=each) for each in files or ()]
        urls = urls or [URL.create("sqlite")]
        strange = [
            url
            for url in urls
            if not any(refused_connections.is_same(url, each) for each in self._files)
        ]
        if files is not None and (not strange or (not files and self._may_be_in_memory)):
            return _ALLOWED
        with contextlib.suppress(Exception):
            cleanup.close_real(connection)
        if files is not None:
            raise self._another_kind(strange[0])
        driver = driver_connections.name_of(connection)
        raise self._not_judged(URL.create(driver), driver)

    def close_sessions(self) -> None:
        """Close the sessions that the running test has used, unless a wider fixture shares them."""
        for session, thread in list(self._sessions.items()):
            # A session of another thread at work is not ours to close; it can't go on anyway.
            if thread is threading.current_thread() or not thread.is_alive():
                with contextlib.suppress(Exception):
                    cleanup.close_session(session, in_clone=self.is_in_clone)
        self._sessions.clear()
        cleanup.close_ended()
        for database in self.databases:
            database.routes.close_forsaken()
        for pool in self._pools:
            cleanup.forget_loop(pool)
        self._pools.clear()

    def abandon_left(self) -> None:
        """Close what nobody has given back to a pool, as the run ends."""
        for database in self.databases:
            database.routes.abandon_left()

    # -- refusals -----------------------------------------------------------------------------

    def _not_requested(self, url: URL, dialect: Dialect | None = None) -> DatabaseNotRequested:
        return self._refused(refused_connections.not_requested(self._attempt(url, dialect)))

    def _foreign(self, url: URL, dialect: Dialect | None = None) -> ForeignDatabase:
        return self._refused(refused_connections.foreign(self._attempt(url, dialect)))

    def _another_kind(self, url: URL, dialect: Dialect | None = None) -> GuardError:
        is_requested = self.is_requested or self._building is not None
        attempt = self._attempt(url, dialect)
        return self._refused(
            refused_connections.of_another_kind(attempt, is_requested=is_requested)
        )

    def _not_judged(self, url: URL, driver: str, dialect: Dialect | None = None) -> GuardError:
        attempt = self._attempt(url, dialect)
        error = refused_connections.not_judged(attempt, driver, is_requested=self.is_requested)
        return self._refused(error)

    def _attempt(self, url: URL, dialect: Dialect | None) -> refused_connections.Attempt:
        return refused_connections.Attempt(
            self.running,
            url,
            call_sites.of_engine(dialect) if dialect is not None else None,
            tuple(database.url for database in self.databases),
            self.settings,
        )

    def _refused(self, error: E) -> E:
        is_older = self.threads.is_older(threading.current_thread())
        kept = self.refused_to_others if is_older and not self.is_requested else self.refused
        if len(kept) < _REFUSALS:
            kept.append(error)
        return error


def _refused_by_clone(context: Any) -> None:
    """Remember what a constraint refused in a test's own database: ``handle_error``."""
    clone = context.connection.info.get(ROUTE) if context.connection is not None else None
    if isinstance(clone, Clone):
        clone.remember_refusal(context.original_exception)
