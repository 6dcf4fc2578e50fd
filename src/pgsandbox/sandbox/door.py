"""The one door through which every connection of a test run passes.

A listener on SQLAlchemy's class-level ``do_connect`` event sees each new DBAPI connection of each
engine, wherever and whenever the engine was made. It hands out a stand-in on the running test's
transaction, or refuses. Connections that a pool kept from before are renewed when they are checked
out. Nothing of the application is patched, and no engine has to be named.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Dialect, Engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from pgsandbox import guard
from pgsandbox.errors import DatabaseNotRequested, Fact, ForeignDatabase, PgSandboxError
from pgsandbox.sandbox import aftermath, creators, direct, origins, patience, trespass
from pgsandbox.sandbox.clones import Clone
from pgsandbox.sandbox.drivers import module_of
from pgsandbox.sandbox.enclosure import Enclosure
from pgsandbox.sandbox.frames import Executed
from pgsandbox.sandbox.levels import Levels
from pgsandbox.sandbox.link import Link
from pgsandbox.sandbox.parameters import parse_options
from pgsandbox.sandbox.sandbox import Sandbox

E = TypeVar("E", bound=PgSandboxError)

_STATE = "pgsandbox.let_through"
_PATIENCE = "SET lock_timeout = '3s'"


@dataclass(eq=False)
class _Building:
    """The building of one schema: where it is made, and what was opened for it."""

    url: URL
    opened: list[Any] = field(default_factory=list)
    """The pools' records of the connections."""


class Door:
    """Decides for every new connection: a place in the running test's transaction, or refusal."""

    def __init__(
        self, *, allowed: tuple[guard.Target, ...] = (), files: tuple[URL, ...] = ()
    ) -> None:
        self.enclosures: list[Enclosure] = []
        """The test databases of this run; empty until the first test asks for one."""
        self.redirected: dict[guard.Target, Enclosure] = {}
        """Databases whose connections go to a test database instead of being refused."""
        self.running = "no test is running"
        """What a message says of the present moment: a test's node id, or a phase."""
        self.is_requested = False
        """Whether the running test asked for the database."""
        self.refused: list[PgSandboxError] = []
        """What was refused during the running test."""
        self.settings: tuple[Fact, ...] = ()
        """What a refusal says of the settings that decide, with their sources."""
        self.levels = Levels(self)
        """What fixtures of wider scopes have made."""
        self._allowed = allowed
        self._files = files
        """Databases of other kinds, such as SQLite's, that may be opened untouched."""
        self._arranging: weakref.WeakSet[Dialect] = weakref.WeakSet()
        self._sessions: weakref.WeakKeyDictionary[Session, threading.Thread] = (
            weakref.WeakKeyDictionary()
        )
        self._here = threading.local()
        self._watching: list[Callable[[], None]] = []
        self._are_drivers_free = False
        self._let_through: dict[int, Any] = {}
        """Why a real connection is being made, by the identity of the pool's record of it.

        Other tasks may connect before it is there.
        """
        self._pools: weakref.WeakSet[Pool] = weakref.WeakSet()
        self._listeners: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
            (Engine, "do_connect", self._connect),
            (Pool, "connect", self._connected),
            (Pool, "checkout", self._checked_out),
            (Session, "after_begin", self._session_began),
        )

    def install(self) -> None:
        """Stand in every engine's way; before any code of the project is imported.

        Such code may bind functions of psycopg2 that have to see through a stand-in.
        """
        module_of("psycopg2")
        for target, name, listener in self._listeners:
            event.listen(target, name, listener, insert=True)
        self._watching.append(origins.watch_engines())
        if not self._are_drivers_free:
            self._watching.append(direct.watch(self._called))

    def remove(self) -> None:
        """Leave every engine alone again."""
        for target, name, listener in self._listeners:
            if event.contains(target, name, listener):
                event.remove(target, name, listener)
        for stop in self._watching:
            stop()
        self._watching.clear()

    def free_the_drivers(self) -> None:
        """Judge engines only, and no longer what calls a driver's own connect."""
        self._are_drivers_free = True
        self._watching.pop()()

    # -- the running test ---------------------------------------------------------------------

    def enter(self, test: str) -> None:
        """From now on connections belong to *test*, which asked for the database."""
        self.running, self.is_requested = test, True
        self.refused.clear()

    def use_clones(self, clones: Mapping[str, Clone]) -> None:
        """For the running test, connect to *clones* for real, each instead of its enclosure."""
        for enclosure in self.enclosures:
            enclosure.clone = clones.get(enclosure.name)
        event.listen(Engine, "before_cursor_execute", self._executing)

    def _leave_clones(self) -> None:
        clones = [each.clone for each in self.enclosures if each.clone is not None]
        for enclosure in self.enclosures:
            enclosure.clone = None
        for clone in clones:
            clone.close()
        if event.contains(Engine, "before_cursor_execute", self._executing):
            event.remove(Engine, "before_cursor_execute", self._executing)

    def wind_down(self, timeout: float = 10.0) -> None:
        """The test's body is over: what its fixtures' teardown rolls back, nobody looks at.

        A statement that a thread still runs after *timeout* seconds is cancelled.
        """
        for enclosure in self.enclosures:
            if enclosure.sandbox is not None:
                enclosure.sandbox.wind_down(timeout)

    def verdict(self) -> list[PgSandboxError]:
        """Return what must make the test fail as it stands, at the end of its body."""
        found: list[PgSandboxError] = []
        for sandbox in [each.sandbox for each in self.enclosures if each.sandbox is not None]:
            with patience.bounded(sandbox.physical):
                found += sandbox.verdict()
        return found

    def mark_reported(self, error: BaseException) -> None:
        """Remember that *error* has made the running test fail already."""
        for enclosure in self.enclosures:
            if enclosure.sandbox is not None:
                enclosure.sandbox.mark_reported(error)

    def leave(self) -> list[PgSandboxError]:
        """End the running test's transactions and return what must make the test fail.

        Sessions that the test used are closed, so that no object of theirs reaches the next test.
        """
        self.wind_down()
        self.close_sessions()
        self._leave_clones()
        errors = self._finish()
        self.running, self.is_requested = "no test is running", False
        return errors

    def give_way(self) -> list[PgSandboxError]:
        """End the running test's transactions before the teardown of a wider fixture.

        Returns what must make the test fail.
        """
        self.wind_down()
        self.close_sessions()
        return self._finish()

    def _finish(self) -> list[PgSandboxError]:
        before, self.is_requested = self.is_requested, False  # for threads that go on
        errors = [error for each in self.enclosures for error in each.finish(self.running)]
        self.levels.restore()
        self.is_requested = before
        return errors

    def arrange_with(self, engine: Engine) -> None:
        """Mark *engine* as the one that the test's own session uses."""
        self._arranging.add(engine.dialect)

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
                        aftermath.close_real(record.dbapi_connection)

    @property
    def _building(self) -> _Building | None:
        """What this thread builds at the moment."""
        building: _Building | None = getattr(self._here, "building", None)
        return building

    def _is_of_the_building(self, let_through: Any) -> bool:
        """Whether a connection is of what this thread builds, and not of a former building."""
        return isinstance(let_through, _Building) and let_through is self._building

    # -- the listeners ------------------------------------------------------------------------

    def _connect(
        self, dialect: Dialect, record: Any, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> Any:
        __tracebackhide__ = True
        building = self._building
        if building is not None and dialect.name == "postgresql":
            self._let_through[id(record)] = building
            url = building.url.set(drivername=f"postgresql+{dialect.driver}")
            here, there = dialect.create_connect_args(url)
            with direct.ours():
                made = dialect.connect(*here, **there)
            building.opened.append(record)
            with contextlib.closing(made.cursor()) as cursor:
                cursor.execute(_PATIENCE)
            made.commit()
            return made
        if dialect.name != "postgresql":
            url = trespass.url_of_another_kind(dialect, args, parameters)
            is_judged = self.is_requested or building is not None
            if is_judged and not any(trespass.is_same(url, each) for each in self._files):
                raise self._foreign(url, dialect)
            return None
        target = guard.target_of(tuple(args), parameters, os.environ)
        if any(guard.is_same_database(target, allowed) for allowed in self._allowed):
            self._let_through[id(record)] = "allowed"
            return None
        enclosure = self._enclosure_of(target)
        if not self.is_requested:
            raise self._not_requested(_url_of(dialect.driver, target), dialect)
        if enclosure is None:
            raise self._foreign(_url_of(dialect.driver, target), dialect)
        if enclosure.clone is not None:
            self._let_through[id(record)] = enclosure.clone
            return enclosure.clone.connect(dialect, tuple(args), parameters)
        return self._stand_in(enclosure, dialect, parameters)

    def _connected(self, connection: Any, record: Any) -> None:
        if _link_of(connection) is not None:
            return
        __tracebackhide__ = True
        let_through = self._let_through.pop(id(record), None)
        if let_through is not None:
            record.info[_STATE] = let_through
        elif creators.driver_of(connection) is not None:
            record.info[_STATE] = self._judge(connection)

    def _checked_out(self, connection: Any, record: Any, proxy: Any) -> None:
        __tracebackhide__ = True
        link = _link_of(connection)
        if link is None:
            let_through = record.info.get(_STATE)
            if any(let_through is each.clone for each in self.enclosures if each.clone):
                return
            if let_through == "allowed" or self._is_of_the_building(let_through):
                return
            if creators.driver_of(connection) is None:
                return
            if not (isinstance(let_through, Enclosure) and let_through.clone is None):
                raise exc.DisconnectionError("this connection is from before the running test")
            connection = self._adopt(let_through, connection)
            record.dbapi_connection = proxy.dbapi_connection = connection
            link = _link_of(connection)
            assert link is not None
        if creators.is_async(connection):
            self._pools.add(record._ConnectionRecord__pool)
            if link.sandbox.is_finished:
                # It has no session on the server that would be worth keeping, but a cache of
                # statements and locks of an event loop that belong to an earlier test.
                raise exc.DisconnectionError("this connection is from an earlier test")
        if link.set_up_in is not None and link.set_up_in.is_finished:
            # Statements of a "connect" listener were rolled back with their test: run them anew.
            raise exc.DisconnectionError("this connection was set up in an earlier test")
        if any(each.clone is not None for each in self.enclosures):
            raise exc.DisconnectionError("this connection is from a sandboxed test")
        link.refresh()
        link.is_in_use = True

    def _executing(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        clone = connection.info.get(_STATE)
        if isinstance(clone, Clone):
            clone.executed.append(Executed(statement, f"an engine used at {origins.place()}"))

    def _session_began(self, session: Session, transaction: Any, connection: Any) -> None:
        if self.is_requested and not self.levels.takes(session, connection):
            self._sessions[session] = threading.current_thread()

    def _called(self, target: guard.Target, driver: str) -> None:
        """Judge a call of *driver*'s own connect, of which SQLAlchemy's events know nothing.

        Raises:
            GuardError: it may not be made.
        """
        __tracebackhide__ = True
        building = self._building
        known = (*self._allowed, *([direct.target_of_url(building.url)] if building else []))
        if any(guard.is_same_database(target, each) for each in known):
            return
        url = _url_of(driver, target)
        if not self.is_requested:
            raise self._not_requested(url)
        enclosure = self._enclosure_of(target)
        if enclosure is None:
            raise self._foreign(url)
        clone = enclosure.clone
        if clone is not None and guard.is_same_database(target, clone.target):
            return
        attempt = self._attempt(url, None)
        if not guard.is_same_database(target, enclosure.target):
            raise self._refused(trespass.not_redirected(attempt))
        if clone is None and direct.is_for_an_engine():
            return  # the pool exchanges what a creator made
        raise self._refused(trespass.past_the_sandbox(attempt, clone))

    # -- decisions ----------------------------------------------------------------------------

    def _enclosure_of(self, target: guard.Target) -> Enclosure | None:
        for enclosure in self.enclosures:
            if guard.is_same_database(target, enclosure.target):
                return enclosure
            if enclosure.clone and guard.is_same_database(target, enclosure.clone.target):
                return enclosure
            if any(guard.is_same_database(target, former) for former in enclosure.former):
                return enclosure
        for redirected, enclosure in self.redirected.items():
            if guard.is_same_database(target, redirected):
                return enclosure
        return None

    def _stand_in(self, enclosure: Enclosure, dialect: Dialect, parameters: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        link = self._link(enclosure, dialect)
        driver = enclosure.driver_of(dialect, self.running)
        made = driver.stand_in(link, parameters)
        given = dict(parameters.get("server_settings") or {})  # asyncpg's
        given.pop("application_name", None)
        link.set_up({**parse_options(str(parameters.get("options") or "")), **given})
        adapted = getattr(driver, "adapted", None)
        return made if adapted is None else adapted(dialect, made, parameters)

    def _link(self, enclosure: Enclosure, dialect: Dialect) -> Link:
        __tracebackhide__ = True
        enclosure.driver_of(dialect, self.running)
        is_arranging = dialect in self._arranging
        label = "the test's own session" if is_arranging else f"an engine used at {origins.place()}"

        def find_sandbox() -> Sandbox:
            __tracebackhide__ = True
            if not self.is_requested:
                raise self._not_requested(enclosure.url, dialect)
            return enclosure.sandbox_of(dialect, self.running)

        return Link(find_sandbox, label, is_arranging=is_arranging)

    def _judge(self, connection: Any) -> Any:
        """Say what to do with a real connection that an engine's own ``creator`` made.

        Raises:
            GuardError: it goes anywhere else than to the test database; it was closed.
        """
        __tracebackhide__ = True
        target = creators.target_of(connection)
        building = self._building
        if building and guard.is_same_database(target, direct.target_of_url(building.url)):
            return building
        if any(guard.is_same_database(target, allowed) for allowed in self._allowed):
            return "allowed"
        for enclosure in self.enclosures if self.is_requested else []:
            aim = enclosure.clone or enclosure
            if guard.is_same_database(target, aim.target):
                return aim
        connection.close()
        url = _url_of(creators.driver_of(connection), target)
        raise self._foreign(url) if self.is_requested else self._not_requested(url)

    def _adopt(self, enclosure: Enclosure, real: Any) -> Any:
        """Return a stand-in for *real*, with what was set on it, and close it."""
        __tracebackhide__ = True
        dialect = creators.dialect_of(real)
        driver = enclosure.driver_of(dialect, self.running)
        enclosure.expect_session()
        link = self._link(enclosure, dialect)
        if creators.is_async(real):
            return creators.adopt_async(driver, link, real, dialect)
        made = driver.adopt(link, real)
        link.set_up(driver.session_of(real))
        real.close()
        return made

    def close_sessions(self) -> None:
        """Close the sessions that the running test has used, unless a wider fixture shares them."""
        for session, thread in list(self._sessions.items()):
            # A session of another thread at work is not ours to close; it can't go on anyway.
            if thread is threading.current_thread() or not thread.is_alive():
                with contextlib.suppress(Exception):
                    aftermath.close_session(session)
        self._sessions.clear()
        for pool in self._pools:
            aftermath.forget_loop(pool)
        self._pools.clear()

    # -- refusals -----------------------------------------------------------------------------

    def _not_requested(self, url: URL, dialect: Dialect | None = None) -> DatabaseNotRequested:
        return self._refused(trespass.not_requested(self._attempt(url, dialect)))

    def _foreign(self, url: URL, dialect: Dialect | None = None) -> ForeignDatabase:
        return self._refused(trespass.foreign(self._attempt(url, dialect)))

    def _attempt(self, url: URL, dialect: Dialect | None) -> trespass.Attempt:
        return trespass.Attempt(
            self.running,
            url,
            origins.of_engine(dialect) if dialect is not None else None,
            tuple(enclosure.url for enclosure in self.enclosures),
            self.settings,
        )

    def _refused(self, error: E) -> E:
        self.refused.append(error)
        return error


def _link_of(connection: Any) -> Link | None:
    driver = connection._connection if creators.is_async(connection) else connection
    link = getattr(driver, "link", None)
    return link if isinstance(link, Link) else None


def _url_of(driver: str | None, target: guard.Target) -> URL:
    is_socket = bool(target.host) and str(target.host).startswith("/")
    return URL.create(
        f"postgresql+{driver}",
        username=target.user,
        host=None if is_socket else target.host,
        port=None if is_socket else target.port,
        database=target.database or (str(target) if target.unknown else None),
        query={"host": str(target.host), "port": str(target.port)} if is_socket else {},
    )
