"""Real connections to a test's own database, for the tests that one transaction can't hold."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

from sqlalchemy.engine import URL

from pgsandbox import guard
from pgsandbox.sandbox import cleanup
from pgsandbox.sandbox.endpoint.sessions import Executed


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
        self._connections: list[Any] = []

    @property
    def used(self) -> int:
        """How often it was used so far; a number that grows."""
        return self.connected + len(self.executed)

    def remember_refusal(self, error: BaseException) -> None:
        """Remember which constraint the driver's *error* names, if it names one."""
        about = getattr(error, "diag", None) or getattr(error, "__cause__", None) or error
        state = getattr(about, "sqlstate", None)
        if state and str(state).startswith("23"):
            names = ("schema_name", "table_name", "column_name", "constraint_name")
            found = (str(getattr(about, name, None) or "") for name in names)
            self.refused.add((str(state), *found))

    def track(self, connection: Any) -> None:
        """Remember a real *connection* to it, which `close` is to close."""
        self.connected += 1
        with contextlib.suppress(TypeError):  # not every driver's connection can be referred to
            self._connections.append(
                weakref.ref(getattr(connection, "driver_connection", connection))
            )

    def close(self) -> None:
        """Close what the application's pools still hold, so that nothing stays open behind it."""
        for reference in self._connections:
            connection = reference()
            if connection is not None:
                with contextlib.suppress(Exception):
                    cleanup.close_real(connection)
        self._connections.clear()
