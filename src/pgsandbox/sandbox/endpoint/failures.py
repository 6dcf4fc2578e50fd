"""How the answer to a statement ends before it is complete."""

from __future__ import annotations

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.connection import Unit


class StatementFailed(Exception):
    """The client is to get this error; the rest of what it sent is skipped."""

    def __init__(self, response: bytes, *, parsed: int = 0) -> None:
        self.response = response
        """An ErrorResponse."""
        self.parsed = parsed
        """How many statements of the same request were parsed before it."""
        super().__init__(response)

    @property
    def body(self) -> bytes:
        """The body of the ErrorResponse, past its kind and its length."""
        return messages.body_of(self.response)


class Waiting(Exception):
    """The client has to wait for a lock of another one."""

    def __init__(self, key: tuple[int, ...], unit: Unit | None = None) -> None:
        self.key = key
        self.unit: Unit = unit or []
        """The messages that are to be answered again then."""
        super().__init__(key)


def failure(code: str, words: str) -> StatementFailed:
    """Return the failure of a statement with this SQLSTATE and message."""
    return StatementFailed(messages.error(code, words))


def aborted() -> StatementFailed:
    """Return what everything but a rollback gets in a transaction that has failed."""
    return failure(
        "25P02", "current transaction is aborted, commands ignored until end of transaction block"
    )
