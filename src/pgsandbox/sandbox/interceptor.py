"""Every connection of a test run is seen here, and sent to where it belongs.

A listener on SQLAlchemy's class-level ``do_connect`` event sees each new connection of each engine,
wherever and whenever the engine was made; `driver_hooks` brings those that drivers make by
themselves. A connection to the test database goes to its endpoint, or to the running test's clone;
any other is refused before it is made: `judging` says which is which. It is always a real
connection of its own driver: nothing of the application is patched, and no engine has to be named.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, exc
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from pgsandbox import guard
from pgsandbox.sandbox import (
    call_sites,
    cleanup,
    driver_connections,
    driver_hooks,
    rewriting,
    statement_places,
)
from pgsandbox.sandbox.clones import Clone
from pgsandbox.sandbox.explanation import explain
from pgsandbox.sandbox.judging import ALLOWED, Building, Judge
from pgsandbox.sandbox.rewriting import Destination
from pgsandbox.sandbox.routes import ROUTE, Route

_LOOP = "pgsandbox.loop"
"""Where a pool's record says to which event loop a real connection belongs."""
_LOCK_TIMEOUT = "SET lock_timeout = '3s'"

_installed: list[ConnectionInterceptor] = []
"""Those that are installed in this process, the one that decides last."""


class ConnectionInterceptor:
    """Asks *judge* about every new connection: the test's transaction, its clone, or refusal."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._test = judge.test
        self._watching: list[Callable[[], None]] = []
        self._are_drivers_free = False
        self._made: dict[int, Any] = {}
        """What a connection is that is being made, by the identity of the pool's record of it.

        Other tasks may connect before it is there.
        """
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

    def free_the_drivers(self) -> None:
        """Judge engines only, and no longer what calls a driver's own connect."""
        self._are_drivers_free = True
        self._watching.pop()()

    @property
    def _decides(self) -> bool:
        return bool(_installed) and _installed[-1] is self

    # -- a connection is made -----------------------------------------------------------------

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
        found = self._judge.of_engine(dialect, tuple(args), parameters)
        if found is None:
            made = dialect.connect(*args, **parameters)
            self._made[id(record)] = ALLOWED
            return made
        to, what = found
        given = rewriting.of_dialect(dialect, tuple(args), parameters, to)
        with driver_hooks.ours(given):
            made = dialect.connect(**given)
        self._made[id(record)] = what
        if isinstance(what, Clone):
            what.track(made, record)
        elif isinstance(what, Building):
            what.opened.append(record)
            with contextlib.closing(made.cursor()) as cursor:
                cursor.execute(_LOCK_TIMEOUT)
            made.commit()
        return made

    def _called(self, target: guard.Target, driver: str) -> Destination | None:
        """Judge a call of *driver*'s own connect, of which SQLAlchemy's events know nothing."""
        __tracebackhide__ = True
        return self._judge.of_call(target, driver) if self._decides else None

    def _connected(self, connection: Any, record: Any) -> None:
        """Remember what a new connection is: the pool's ``connect``."""
        __tracebackhide__ = True
        if not self._decides:
            return
        made = self._made.pop(id(record), None)
        if made is None:
            made = self._judge.of_made(connection)
        record.info[ROUTE] = made
        if isinstance(made, Clone) and driver_connections.is_async(connection):
            record.info[_LOOP] = weakref.ref(asyncio.get_running_loop())
        if isinstance(made, Route):
            made.database.routes.taken(made, connection, record)

    # -- a pool hands it out ------------------------------------------------------------------

    def _checked_out(self, connection: Any, record: Any, proxy: Any) -> None:
        """Let a pool hand out a connection that belongs to the running test: ``checkout``."""
        __tracebackhide__ = True
        what = record.info.get(ROUTE)
        if what is None or what is ALLOWED or not self._decides:
            return
        if isinstance(what, Building):
            if what is not self._judge.built:
                raise exc.DisconnectionError("this connection is from the building of a schema")
            return
        if isinstance(what, Clone):
            self._check_clone(what, record)
        else:
            self._check_route(what, record)
        self._test.threads.uses(threading.current_thread(), self._test.running)

    def _check_clone(self, clone: Clone, record: Any) -> None:
        __tracebackhide__ = True
        if not any(clone is each.clone for each in self._test.databases):
            raise exc.DisconnectionError("this connection is from an earlier test")
        _require_loop(record.info.get(_LOOP), record)
        clone.is_used_by(record, threading.current_thread())

    def _check_route(self, route: Route, record: Any) -> None:
        __tracebackhide__ = True
        if self._judge.built is not None or route.database.clone is not None:
            raise exc.DisconnectionError("this connection is to the endpoint")
        if not self._test.is_requested:
            raise self._judge.not_requested(route.database.url)
        if route.loop is not None:
            self._test.pools.add(record._ConnectionRecord__pool)
            _require_loop(route.loop, record)
        if not route.is_usable:
            raise exc.DisconnectionError("this connection is from before")
        if not route.is_set_up:
            route.set_up_done()
        if route.is_held:
            route.database.let_go(route)
        route.thread = threading.current_thread()

    # -- a session, or a statement, uses it ---------------------------------------------------

    def _session_began(self, session: Session, transaction: Any, connection: Any) -> None:
        route = connection.info.get(ROUTE)
        if isinstance(route, Route):
            route.thread = threading.current_thread()
            route.session = weakref.ref(session)
        self._test.uses_session(session, connection)

    def _added(self, session: Session, instance: Any) -> None:
        """Tell what the test itself adds to the application's session: ``transient_to_pending``."""
        dialect = getattr(session.bind, "dialect", None)
        is_tests_own = dialect is not None and self._judge.is_arranging(dialect)
        if not self._test.is_requested or is_tests_own:
            return
        if self._test.places.is_in_test_code(type(instance).__qualname__):
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
            self._test.places.note(route.token, statement, session, is_arranging=route.is_arranging)


def _require_loop(loop: Callable[[], Any] | None, record: Any) -> None:
    """Let no connection of an event *loop* be used on another one."""
    __tracebackhide__ = True
    if loop is not None and loop() is not asyncio.get_running_loop():
        cleanup.abandon(record)
        raise exc.DisconnectionError("this connection is of another event loop")
