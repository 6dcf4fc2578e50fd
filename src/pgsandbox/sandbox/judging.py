"""Where a connection may go: the running test's database, its clone, what `allow` names, nowhere.

A connection is judged before it is made: an engine's by the arguments of its dialect's ``connect``,
a driver's own by those of that call. What an engine's ``creator`` has made is judged when the pool
gets it, and closed if it may not be.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.engine import URL, Dialect, Engine

from pgsandbox import guard
from pgsandbox.errors import DatabaseNotRequested, Fact, GuardError, PgSandboxError
from pgsandbox.sandbox import (
    call_sites,
    cleanup,
    driver_connections,
    driver_hooks,
    refused_connections,
    rewriting,
)
from pgsandbox.sandbox.refused_connections import Attempt
from pgsandbox.sandbox.rewriting import Destination
from pgsandbox.sandbox.routes import Route
from pgsandbox.sandbox.running_test import RunningTest
from pgsandbox.sandbox.test_database import TestDatabase

E = TypeVar("E", bound=PgSandboxError)

ALLOWED = "allowed"
"""What a connection is that goes where it would go without us."""
_PLAIN = frozenset({"host", "port", "user", "password", "database"})
"""Arguments that every driver of PostgreSQL reads alike."""


@dataclass(eq=False)
class Building:
    """The building of one schema: where it is made, and what was opened for it."""

    url: URL
    opened: list[Any] = field(default_factory=list)
    """The pools' records of the connections."""

    @property
    def target(self) -> guard.Target:
        """What a connection to it opens."""
        return driver_hooks.target_of_url(self.url)


class Judge:
    """Decides for each connection where it goes and what it is, or refuses it."""

    def __init__(
        self,
        test: RunningTest,
        *,
        allowed: tuple[guard.Target, ...] = (),
        files: tuple[URL, ...] = (),
        allows_memory: bool = False,
        settings: tuple[Fact, ...] = (),
    ) -> None:
        self.test = test
        self.redirected: dict[guard.Target, TestDatabase] = {}
        """Databases whose connections go to a test database instead of being refused."""
        self._allowed = allowed
        self._files = files
        """Databases of other kinds, such as SQLite's, that may be opened untouched."""
        self._allows_memory = allows_memory
        """Whether SQLite may be opened in memory where no test has asked for the database."""
        self._settings = settings
        """What a refusal says of the settings that decide, with their sources."""
        self._arranging: weakref.WeakSet[Dialect] = weakref.WeakSet()
        self._shared: weakref.WeakKeyDictionary[Dialect, Dialect] = weakref.WeakKeyDictionary()
        """For a dialect that blocks, the asynchronous one whose transactions it shares."""
        self._last_routes: weakref.WeakKeyDictionary[Dialect, Route] = weakref.WeakKeyDictionary()
        self._here = threading.local()

    # -- what it is told ----------------------------------------------------------------------

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
        before = self.built
        self._here.built = built = Building(url)
        try:
            yield
        finally:
            self._here.built = before
            for record in built.opened:
                if record.dbapi_connection is not None and not record.in_use:
                    with contextlib.suppress(Exception):  # its event loop may be closed
                        cleanup.close_real(record.dbapi_connection)

    @property
    def built(self) -> Building | None:
        """What this thread builds at the moment."""
        built: Building | None = getattr(self._here, "built", None)
        return built

    # -- an engine's connection, before it is made --------------------------------------------

    def of_engine(
        self, dialect: Dialect, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> tuple[Destination, Any] | None:
        """Return where a connection goes, and what it is; None where it goes where it would.

        Raises:
            GuardError: it may not be made.
        """
        __tracebackhide__ = True
        if dialect.name != "postgresql":
            self._judge_another_kind(dialect, args, parameters)
            return None
        if dialect.driver not in driver_connections.SUPPORTED:
            self._judge_another_driver(dialect, args, parameters)
            return None
        built = self.built
        if built is not None:
            return rewriting.destination_of(built.url), built
        if dialect.is_async:
            self.test.loops.add(asyncio.get_running_loop())
        target = driver_hooks.target_of_call(dialect.driver, args, parameters)
        if self._is_allowed(target):
            return None
        database = self._database_for(target, dialect.driver, dialect)
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
        if route is not None:
            self._last_routes[dialect] = route
            if dialect.is_async:
                route.loop = weakref.ref(asyncio.get_running_loop())
        return to, route

    def _judge_another_kind(
        self, dialect: Dialect, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> None:
        __tracebackhide__ = True
        url = refused_connections.url_of_another_kind(dialect, args, parameters)
        is_memory = refused_connections.is_in_memory(dialect, args, parameters)
        if not self._is_known(url) and not (is_memory and self._may_be_in_memory):
            raise self._another_kind(url, dialect)

    def _judge_another_driver(
        self, dialect: Dialect, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> None:
        """Let a driver that is not known pass to what `allow` names, if its arguments say all."""
        __tracebackhide__ = True
        target = guard.target_of(args, parameters, {})
        is_plain = parameters.keys() <= _PLAIN and parameters.keys() >= {"host", "database"}
        if not is_plain or not self._is_allowed(target):
            url = refused_connections.url_of(dialect.driver, target)
            raise self._not_judged(url, dialect.driver, dialect)

    # -- a driver's own connection ------------------------------------------------------------

    def of_call(self, target: guard.Target, driver: str) -> Destination | None:
        """Return where a call of *driver*'s own connect goes; None where it goes where it would.

        Raises:
            GuardError: it may not be made.
        """
        __tracebackhide__ = True
        with contextlib.suppress(RuntimeError):  # there is none: a driver that blocks
            self.test.loops.add(asyncio.get_running_loop())
        built = self.built
        is_built = built is not None and guard.is_same_database(target, built.target)
        if is_built or self._is_allowed(target):
            return None
        database = self._database_for(target, driver)
        if database.clone is not None:
            return rewriting.destination_of(database.clone.url)
        place = call_sites.place()
        self.test.threads.uses(threading.current_thread(), self.test.running)
        route, to = database.route(f"a connection of {driver} made at {place}", is_raw=True)
        if route is not None:
            self.test.places.note(route.token, "", None)
            if call_sites.is_of_a_library(place):
                route.thread = None  # it is made for whoever asks the library for it
        return to

    # -- what an engine's creator has made ----------------------------------------------------

    def of_made(self, connection: Any) -> Any:
        """Return what a real connection is that an engine's own ``creator`` made.

        Raises:
            GuardError: it goes anywhere else than to the test database; it was closed.
        """
        __tracebackhide__ = True
        driver = driver_connections.driver_of(connection)
        if driver is None:
            return self._of_stranger(connection)
        target = driver_connections.target_of(connection)
        built = self.built
        if built and guard.is_same_database(target, built.target):
            return built
        if self._is_allowed(target):
            return ALLOWED
        for database in self.test.databases if self.test.is_requested else []:
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
        url = refused_connections.url_of(driver, target)
        if not self.test.is_requested:
            raise self.not_requested(url)
        raise self._refused(refused_connections.foreign, url)

    def _of_stranger(self, connection: Any) -> Any:
        """Let a connection pass that is SQLite's, if it may be.

        Raises:
            GuardError: it may not, or it can't be told where it goes; it was closed.
        """
        __tracebackhide__ = True
        files = driver_connections.files_of_sqlite(connection)
        urls = [URL.create("sqlite", database=each) for each in files or ()]
        strange = [url for url in urls or [URL.create("sqlite")] if not self._is_known(url)]
        if files is not None and (not strange or (not files and self._may_be_in_memory)):
            return ALLOWED
        with contextlib.suppress(Exception):
            cleanup.close_real(connection)
        if files is not None:
            raise self._another_kind(strange[0])
        driver = driver_connections.name_of(connection)
        raise self._not_judged(URL.create(driver), driver)

    # -- what may be opened -------------------------------------------------------------------

    def _is_allowed(self, target: guard.Target) -> bool:
        return any(guard.is_same_database(target, each) for each in self._allowed)

    def _is_known(self, url: URL) -> bool:
        return any(refused_connections.is_same(url, each) for each in self._files)

    @property
    def _may_be_in_memory(self) -> bool:
        return self._allows_memory and not self.test.is_requested and self.built is None

    def _database_for(
        self, target: guard.Target, driver: str, dialect: Dialect | None = None
    ) -> TestDatabase:
        """Return the test database that a connection to *target* belongs to."""
        __tracebackhide__ = True
        url = refused_connections.url_of(driver, target)
        if not self.test.is_requested:
            raise self.not_requested(url, dialect)
        for database in self.test.databases:
            known = [database.target, database.endpoint_target, database.tcp_target()]
            known += [database.clone.target] if database.clone else []
            known += database.former
            if any(each and guard.is_same_database(target, each) for each in known):
                return database
        for redirected, database in self.redirected.items():
            if guard.is_same_database(target, redirected):
                return database
        raise self._refused(refused_connections.foreign, url, dialect)

    # -- refusals -----------------------------------------------------------------------------

    def not_requested(self, url: URL, dialect: Dialect | None = None) -> DatabaseNotRequested:
        """Return the error for a connection to *url* where nobody has asked for the database."""
        return self._refused(refused_connections.not_requested, url, dialect)

    def _another_kind(self, url: URL, dialect: Dialect | None = None) -> GuardError:
        if self.built is not None:
            return self._refused(refused_connections.of_another_kind_in_schema, url, dialect)
        is_requested = self.test.is_requested
        refuse = functools.partial(refused_connections.of_another_kind, is_requested=is_requested)
        return self._refused(refuse, url, dialect)

    def _not_judged(self, url: URL, driver: str, dialect: Dialect | None = None) -> GuardError:
        is_requested = self.test.is_requested
        refuse = functools.partial(
            refused_connections.not_judged, driver=driver, is_requested=is_requested
        )
        return self._refused(refuse, url, dialect)

    def _refused(
        self, refuse: Callable[[Attempt], E], url: URL, dialect: Dialect | None = None
    ) -> E:
        attempt = Attempt(
            self.test.running,
            url,
            call_sites.of_engine(dialect) if dialect is not None else None,
            tuple(database.url for database in self.test.databases),
            self._settings,
        )
        return self.test.remember_refusal(refuse(attempt))
