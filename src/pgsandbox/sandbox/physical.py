"""The one real connection that holds a sandboxed test, seen without its driver's peculiarities."""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol


class Status(Enum):
    """Where the physical connection stands, as its client library knows without asking."""

    IDLE = "idle"
    """No transaction is open."""
    IN_TRANSACTION = "in transaction"
    IN_ERROR = "in error"
    """A statement failed, and the server waits for a rollback."""
    ACTIVE = "active"
    """A statement is still running."""
    LOST = "lost"
    """The connection is gone."""


SESSION = (
    "SELECT name, current_setting(name) FROM pg_settings WHERE source IN ('client', 'session') "
    "AND name NOT IN ('application_name', 'client_encoding') AND name NOT LIKE 'transaction\\_%'"
)
"""The run-time parameters that a session was given by options and SET."""


class Physical(Protocol):
    """A real connection to the test database on which no driver begins or ends a transaction."""

    driver: str
    """The driver's name as SQLAlchemy gives it: ``psycopg2``, ``psycopg``."""

    def execute(self, sql: str) -> None:
        """Run *sql*, which may hold several statements, without parameters or results."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run *sql*, which may hold several statements, and return the rows of the last one."""

    def status(self) -> Status:
        """Return where the connection stands; no round trip."""

    def cancel(self) -> None:
        """Ask the server to stop the statement that runs; safe from any thread."""

    def fileno(self) -> int:
        """Return the descriptor of its socket."""

    def close(self) -> None:
        """Close the connection, in whatever state it is; never raises."""


def sqlstate_of(error: BaseException) -> str | None:
    """Return the SQLSTATE of a driver's *error*, whichever driver's it is."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
