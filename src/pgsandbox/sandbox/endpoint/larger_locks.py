"""Advisory locks in larger queries: for each row, in a condition, in a block, in a function.

Which locks such a statement takes, nobody can read from it. So while it runs, what other clients
hold is held by another session, which conflicts with the server's own as it would in production;
afterwards what the server's own has belongs to the client. Only a test in which another client holds
a lock at that moment pays for the session. A statement that would have to wait for another client is
refused by name: that client has no turn meanwhile.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import refusals
from pgsandbox.sandbox.endpoint.advisory import Key, call_of, function_of
from pgsandbox.sandbox.endpoint.failures import StatementFailed
from pgsandbox.sandbox.endpoint.server import Outcome, ServerConnection
from pgsandbox.sandbox.endpoint.statements import Kind, Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

_PATIENCE = "300ms"
"""How long a statement waits for what another client holds, if the client has set no limit."""
_TIMED_OUT = b"\0C55P03\0"
_HELD = """SELECT classid::bigint, objid::bigint, objsubid, mode FROM pg_locks
    WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"""


class LargerLocks:
    """The locks around one statement of one client."""

    def __init__(self, backend: Backend, statement: Statement) -> None:
        self._backend = backend
        self._text = statement.text
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
            server.queue(f"SELECT set_config('lock_timeout', '{_PATIENCE}', false)")

    def take_back(self, server: ServerConnection, outcome: Outcome) -> None:
        """Let the server's own session hold them again, and see what the statement has taken.

        Raises:
            StatementFailed: it would have had to wait for another client.
        """
        advisory = self._backend.database.advisory
        found = {_lock(row) for row in server.rows(_HELD)}
        advisory.reconcile(
            self._backend, found, is_of_transaction="advisory_xact" in self._text.lower()
        )
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


def _lock(row: tuple[str | None, ...]) -> tuple[Key, str]:
    first, second, place = (int(each or 0) for each in row[:3])
    if place == 2:
        return (_signed(first, 32), _signed(second, 32)), row[3] or ""
    return (_signed(first << 32 | second, 64),), row[3] or ""


def _signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >= 1 << (bits - 1) else number


_BLOCK = re.compile(r"\s*DO\b", re.IGNORECASE)
_CREATES = re.compile(
    r"\b(?:FUNCTION|PROCEDURE)\s+(?:[\w$\"]+\s*\.\s*)?\"?([\w$]+)\"?\s*\(", re.IGNORECASE
)


class Routines:
    """Functions and triggers of one database that do what a statement's text does not show."""

    def __init__(self, word: str, server: ServerConnection) -> None:
        self._word = re.compile(word.replace("\\m", r"\b").replace("\\M", r"\b"), re.IGNORECASE)
        look = (
            "SELECT proname, prorettype = 'trigger'::regtype FROM pg_proc "  # noqa: S608 - our own
            f"WHERE oid >= 16384 AND prosrc ~* '{word}'"
        )
        rows = server.rows(look)
        self._names = {str(name).lower() for name, is_trigger in rows if is_trigger != "t"}
        self._has_triggers = any(is_trigger == "t" for _, is_trigger in rows)
        self._pattern = self._compiled()

    def _compiled(self) -> re.Pattern[str] | None:
        names = "|".join(map(re.escape, sorted(self._names)))
        return re.compile(rf"\b(?:{names})\b", re.IGNORECASE) if names else None

    def may_run(self, statement: Statement, *, is_write: bool) -> bool:
        """Whether *statement* may run one of them."""
        if self._has_triggers and is_write:
            return True
        if statement.kind is Kind.WRITE and _BLOCK.match(statement.text):
            return self._word.search(statement.text) is not None
        return self._pattern is not None and self._pattern.search(statement.text) is not None

    def learn(self, text: str) -> None:
        """See what *text* defines; it stays known, even if it is undone."""
        if not self._word.search(text):
            return
        for name in _CREATES.findall(text):
            self._names.add(name.lower())
            self._has_triggers = self._has_triggers or "trigger" in text.lower()
        self._pattern = self._compiled()


__all__ = ["LargerLocks", "Routines", "call_of"]
