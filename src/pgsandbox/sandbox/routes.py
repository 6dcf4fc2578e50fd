"""The connections that were sent to an endpoint, and who has each of them.

The endpoint knows a connection by its token. Who uses it, and whether a pool has it back, only the
test process can say.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgsandbox.sandbox import cleanup
from pgsandbox.sandbox.endpoint_process import EndpointProcess

if TYPE_CHECKING:
    from pgsandbox.sandbox.test_database import TestDatabase

ROUTE = "pgsandbox.route"
"""Where a pool's record says what its connection is."""


@dataclass(eq=False)
class Route:
    """One connection that was sent to the endpoint."""

    database: TestDatabase
    endpoint: EndpointProcess
    token: str
    """What the endpoint calls it."""
    process: int = field(default_factory=os.getpid)
    thread: threading.Thread | None = field(default_factory=threading.current_thread)
    """Who used it last; None where that can't be known."""
    is_arranging: bool = False
    """Whether it is of the test's own session."""
    is_set_up: bool = False
    """Whether its engine has handed it out once."""
    loop: Callable[[], Any] | None = None
    """The event loop that it belongs to, weakly; None for a synchronous driver's."""
    connection: Callable[[], Any] | None = None
    """The driver's connection, weakly, of an asynchronous driver."""
    record: Callable[[], Any] | None = None
    """The record of the pool that holds it, weakly."""
    is_held: bool = False
    """Whether a thread of an earlier test has not given it back."""
    is_stale: bool = False
    """Whether what its engine did to set it up was undone with a test."""
    session: Callable[[], Any] | None = None
    """The session that used it last, weakly."""
    user: Callable[[], Any] | None = None
    """SQLAlchemy's connection that used it last, weakly."""

    @property
    def is_usable(self) -> bool:
        """Whether this process can use it as it is."""
        is_current = self.endpoint is self.database.endpoint and self.process == os.getpid()
        return is_current and not self.is_stale

    def set_up_done(self) -> None:
        """Its engine is about to hand it out for the first time."""
        self.is_set_up = True
        self.endpoint.tell("set_up_done", token=self.token)


class Routes:
    """Those of one test database, as long as anybody has their connections."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[Route] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._raw: dict[str, Route] = {}
        """Those of connections that no pool knows, by their tokens."""

    def __iter__(self) -> Iterator[Route]:
        with self._lock:  # other threads may connect at this moment
            return iter(list(self._all))

    def of(self, token: str) -> Route | None:
        """Return the one that the endpoint knows by *token*, if it is still there."""
        return next((each for each in self if each.token == token), None)

    def add(self, route: Route, *, is_raw: bool = False) -> None:
        """Know *route*; if it *is_raw*, no pool will know its connection."""
        if is_raw:
            self._raw[route.token] = route
        with self._lock:
            self._all.add(route)

    def taken(self, route: Route, connection: Any, record: Any) -> None:
        """The driver's *connection* has taken *route*, and the pool's *record* holds it."""
        route.record = weakref.ref(record)
        self.add(route)
        if route.loop is not None:
            driver = getattr(connection, "driver_connection", connection)
            with contextlib.suppress(TypeError):  # a class without weak references
                route.connection = weakref.ref(driver)

    def ended(self, *, undone: Collection[str], gone: Iterable[str]) -> None:
        """With a test, the set-up of those *undone* was undone, and those *gone* were closed."""
        if undone:
            for route in self:
                route.is_stale = route.is_stale or route.token in undone
        for token in gone:
            self._raw.pop(token, None)

    def of_other_threads(self, tokens: Collection[str]) -> list[str]:
        """Return which of *tokens* another thread has, that is alive."""
        here = threading.current_thread()
        return [
            route.token
            for route in self
            if route.token in tokens
            and route.thread not in (None, here)
            and route.thread.is_alive()
        ]

    def hold(self, threads: AbstractSet[threading.Thread]) -> list[str]:
        """Hold those that *threads* have not given back, and return their tokens."""
        held = []
        for route in self:
            record = route.record() if route.record is not None else None
            if route.thread in threads and (route.token in self._raw or (record and record.in_use)):
                route.is_held = True
                held.append(route.token)
        return held

    def close_forsaken(self) -> None:
        """Close the connections whose event loop is closed: nobody can use or close them any more.

        Their drivers would warn of each that is collected open. A pool that pings would do so on
        the next test's loop, before it could be told that a connection is of another one.
        """
        for route in self:
            if route.loop is None or route.connection is None:
                continue
            loop, connection = route.loop(), route.connection()
            record = route.record() if route.record is not None else None
            is_pinged = (
                record is not None
                and not record.in_use
                and record._ConnectionRecord__pool._pre_ping
            )
            is_over = loop is None or loop.is_closed() or (is_pinged and not loop.is_running())
            if connection is not None and is_over:
                cleanup.close_real(connection)
                route.connection = None

    def abandon_left(self) -> None:
        """Close the connections that are not back in their pools, as the endpoint is about to end.

        An interrupted test's frame may keep one for longer. Its pool would then roll it back, find
        nobody there, and print a traceback. What another thread may be waiting in stays, and what a
        fork has from its parent.
        """
        for route in self:
            record = route.record() if route.record is not None else None
            is_ours = route.process == os.getpid() and route.thread is threading.current_thread()
            if record is not None and record.in_use and is_ours:
                cleanup.abandon(record)
                user = route.user() if route.user is not None else None
                if user is not None:
                    with contextlib.suppress(Exception):  # the run ends in any case
                        cleanup.give_up(user)


def is_to_endpoint(connection: Any) -> bool:
    """Whether SQLAlchemy's *connection* goes to an endpoint."""
    return isinstance(connection.info.get(ROUTE), Route)
