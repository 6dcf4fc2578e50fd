"""A state that a transaction of its own would have, lent to the shared one for one statement."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pgsandbox.sandbox.physical import Physical, Status

T = TypeVar("T")


def in_read_only_transaction(physical: Physical, send: Callable[[], T]) -> T:
    """Return what *send* returns, run in a savepoint that is read-only; nothing else is."""
    physical.execute("SAVEPOINT pgsandbox_read_only; SET TRANSACTION READ ONLY")
    try:
        return send()
    finally:
        if physical.status() is Status.IN_TRANSACTION:
            physical.execute("RELEASE SAVEPOINT pgsandbox_read_only")


def in_failed_transaction(physical: Physical, send: Callable[[], T]) -> T:
    """Run *send* in a transaction that has failed, so that the server itself raises its error."""
    physical.execute("SAVEPOINT pgsandbox_aborted")
    try:
        try:
            physical.execute("SELECT pgsandbox_aborted()")
        except Exception:  # noqa: BLE001  # the driver's, which is not imported here
            return send()
        raise AssertionError("unreachable: the function does not exist")  # pragma: no cover
    finally:
        physical.execute(
            "ROLLBACK TO SAVEPOINT pgsandbox_aborted; RELEASE SAVEPOINT pgsandbox_aborted"
        )
