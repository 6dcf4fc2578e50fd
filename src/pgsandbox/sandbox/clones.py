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
        self.connected = 0
        """How many connections were made to it."""
        self._connections: list[Any] = []

    @property
    def used(self) -> int:
        """How often it was used so far; a number that grows."""
        return self.connected + len(self.executed)

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
