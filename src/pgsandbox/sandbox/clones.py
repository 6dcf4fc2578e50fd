"""Real connections to a test's own database, for the tests that one transaction can't hold."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Engine

from pgsandbox import guard
from pgsandbox.sandbox import call_sites, cleanup
from pgsandbox.sandbox.endpoint.sessions import Executed
from pgsandbox.sandbox.routes import ROUTE


class Clone:
    """One test's own database, and the real connections that the test opened to it."""

    def __init__(self, url: URL, target: guard.Target) -> None:
        self.url = url
        """Its URL, with the password."""
        self.target = target
        self.executed: list[Executed] = []
        """The statements that SQLAlchemy sent to it, oldest first."""
        self.refused: set[tuple[str, ...]] = set()
        """What constraints refused in it: SQLSTATE, schema, table, column and constraint."""
        self.connected = 0
        """How many connections were made to it."""
        self._connections: list[tuple[Any, Any]] = []
        self._users: weakref.WeakKeyDictionary[Any, threading.Thread] = weakref.WeakKeyDictionary()
        """Who used the connection of a pool's record last."""
        self._listeners: tuple[tuple[str, Callable[..., Any]], ...] = (
            ("before_cursor_execute", self._sending),
            ("handle_error", self._failed),
        )

    @property
    def used(self) -> int:
        """How often it was used so far; a number that grows."""
        return self.connected + len(self.executed)

    def watch(self) -> None:
        """Note what SQLAlchemy sends to it, and what its constraints refuse, until `close`."""
        for name, listener in self._listeners:
            event.listen(Engine, name, listener)

    def _sending(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if connection.info.get(ROUTE) is self:
            self.executed.append(Executed(statement, f"an engine used at {call_sites.place()}"))

    def _failed(self, context: Any) -> None:
        """Remember which constraint the driver's error names, if it names one."""
        if context.connection is None or context.connection.info.get(ROUTE) is not self:
            return
        error = context.original_exception
        about = getattr(error, "diag", None) or getattr(error, "__cause__", None) or error
        state = getattr(about, "sqlstate", None)
        if state and str(state).startswith("23"):
            names = ("schema_name", "table_name", "column_name", "constraint_name")
            found = (str(getattr(about, name, None) or "") for name in names)
            self.refused.add((str(state), *found))

    def track(self, connection: Any, record: Any) -> None:
        """Remember a real *connection* to it, for `close`, and its pool's *record*."""
        self.connected += 1
        with contextlib.suppress(TypeError):  # not every driver's connection can be referred to
            driver = getattr(connection, "driver_connection", connection)
            self._connections.append((weakref.ref(driver), weakref.ref(record)))

    def is_used_by(self, record: Any, thread: threading.Thread) -> None:
        """Know that *thread* has the connection of *record* now."""
        self._users[record] = thread

    def close(self) -> None:
        """Close what the application's pools still hold, so that nothing stays open behind it.

        What another thread is at work in is left to it: some drivers would wait for its statement,
        and others lose what they wait with. Its session ends with the database.
        """
        for name, listener in self._listeners:
            if event.contains(Engine, name, listener):
                event.remove(Engine, name, listener)
        here = threading.current_thread()
        for reference, record in self._connections:
            connection, held = reference(), record()
            thread = here
            if held is not None and held.in_use:
                thread = self._users.get(held, here)
            is_at_work = thread is not here and thread.is_alive()
            if connection is not None and not is_at_work:
                with contextlib.suppress(Exception):
                    cleanup.close_real(connection)
        self._connections.clear()
