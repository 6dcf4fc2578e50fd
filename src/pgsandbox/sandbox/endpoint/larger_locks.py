"""Advisory locks in larger queries: for each row, in a condition, in a block, in a function.

Which locks such a statement takes, nobody can read from it. So while it runs, what other clients
hold is held by another session, which conflicts with the server's own as it would in production;
afterwards what the server's own has belongs to the client. Only a test in which another client
holds a lock at that moment pays for the session. A statement that would have to wait for another
client is refused by name: that client has no turn meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import refusals
from pgsandbox.sandbox.endpoint.advisory import Lock, function_of
from pgsandbox.sandbox.endpoint.failures import StatementFailed
from pgsandbox.sandbox.endpoint.server import Outcome, ServerConnection
from pgsandbox.sandbox.endpoint.statements import Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

_LOCK_TIMEOUT = "300ms"
"""How long a statement waits for what another client holds, if the client has set no limit."""
_TIMED_OUT = b"\0C55P03\0"
_HELD = """SELECT classid::bigint, objid::bigint, objsubid, mode FROM pg_locks
    WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"""


class LargerLocks:
    """The locks around one statement of one client."""

    def __init__(self, backend: Backend, statement: Statement) -> None:
        self._backend = backend
        self._others = backend.database.advisory.of_others(backend)
        self._holder: ServerConnection | None = None
        self._timeout = "0"

    def give_away(self, server: ServerConnection) -> None:
        """Let another session hold what other clients hold."""
        if not self._others:
            return
        database = self._backend.database
        database.expect_session()
        self._holder = ServerConnection(database.parameters)
        freed = [function_of(key, mode, "pg_advisory_unlock") for key, mode, _ in self._others]
        question = f"SELECT current_setting('lock_timeout'), {', '.join(freed)}"
        self._timeout = server.rows(question)[0][0] or "0"
        taken = [function_of(key, mode, "pg_try_advisory_lock") for key, mode, _ in self._others]
        self._holder.rows(f"SELECT {', '.join(taken)}")
        if self._timeout == "0":
            server.queue(f"SELECT set_config('lock_timeout', '{_LOCK_TIMEOUT}', false)")

    def abandon(self) -> None:
        """The test's transaction is over."""
        if self._holder is not None:
            self._holder.close()

    def take_back(self, server: ServerConnection, outcome: Outcome) -> None:
        """Let the server's own session hold them again, and see what the statement has taken.

        Raises:
            StatementFailed: it would have had to wait for another client.
        """
        advisory = self._backend.database.advisory
        found = {_lock(row) for row in server.rows(_HELD)}
        advisory.reconcile(self._backend, found, lambda new: _of_session(server, new))
        if self._holder is None:
            return
        self._holder.rows("SELECT pg_advisory_unlock_all()")
        self._holder.close()
        taken = [function_of(key, mode, "pg_advisory_lock") for key, mode, _ in self._others]
        calls = [f"set_config('lock_timeout', '{self._timeout}', false)", *taken]
        server.rows(f"SELECT {', '.join(calls)}")
        if outcome.error is not None and self._timeout == "0" and _TIMED_OUT in outcome.error:
            label = self._others[0][2].label
            error = refusals.would_wait(
                f"an advisory lock that {label} holds",
                self._backend.label,
                self._backend.database.running,
            )
            raise StatementFailed(refusals.as_message(error))


def _of_session(server: ServerConnection, locks: set[Lock]) -> set[Lock]:
    """Return those of *locks* that the server's session has, and not its transaction.

    pg_locks shows no difference, but only what the session has can be unlocked (PostgreSQL manual,
    9.28.10).
    """
    of_session = set()
    for key, mode in locks:
        if server.rows(f"SELECT {function_of(key, mode, 'pg_advisory_unlock')}")[0][0] == "t":
            server.rows(f"SELECT {function_of(key, mode, 'pg_advisory_lock')}")
            of_session.add((key, mode))
    return of_session


def _lock(row: tuple[str | None, ...]) -> Lock:
    first, second, place = (int(each or 0) for each in row[:3])
    if place == 2:
        return (_signed(first, 32), _signed(second, 32)), row[3] or ""
    return (_signed(first << 32 | second, 64),), row[3] or ""


def _signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >= 1 << (bits - 1) else number
