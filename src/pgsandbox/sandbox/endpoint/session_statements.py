"""Statements that belong to one session, and whose answers the server can't give.

LISTEN and NOTIFY, DISCARD, DEALLOCATE, modes of a transaction and session advisory locks: the
server has one session for all clients of a test.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.endpoint import messages, refusals
from pgsandbox.sandbox.endpoint.advisory import AdvisoryCall, Answer
from pgsandbox.sandbox.endpoint.control import begin_tag
from pgsandbox.sandbox.endpoint.failures import StatementFailed, failure
from pgsandbox.sandbox.endpoint.notifications import cut, is_plain_notify, literal_of, payload_of
from pgsandbox.sandbox.endpoint.server import ServerError
from pgsandbox.sandbox.endpoint.statements import Kind, Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend


class SessionStatements:
    """The answers to one client's statements of this kind."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def answer(  # noqa: C901, PLR0911  # one answer a kind
        self, statement: Statement, *, is_alone: bool = True
    ) -> bytes:
        """Return the answer to a statement that is not sent.

        Raises:
            StatementFailed: it is refused.
        """
        backend = self._backend
        kind = statement.kind
        test = backend.database.running
        if kind is Kind.NOT_IN_TRANSACTION:
            error: PgSandboxError = refusals.not_in_transaction(statement.text, test)
            raise StatementFailed(refusals.as_message(error))
        if kind is Kind.SNAPSHOT:
            if not backend.lets_isolation_pass and _IS_TAKEN_AT_ONCE.search(statement.bare):
                error = refusals.isolation_level(statement.text.strip(), backend.label, test)
                raise StatementFailed(refusals.as_message(error))
            if _BEGINS.match(statement.bare):
                backend.control.begin(statement.text)
                return messages.complete(begin_tag(statement.text))
            if backend.lets_isolation_pass:
                return messages.complete("SET")
            return backend.control.set_mode(statement, is_alone=is_alone)
        if kind is Kind.MODE:
            return backend.control.set_mode(statement, is_alone=is_alone)
        if kind in (Kind.LISTEN, Kind.UNLISTEN, Kind.NOTIFY):
            backend.current()
            notice, channel = cut(statement.name)
            if kind is Kind.NOTIFY:
                backend.notifications.notify(channel or "", self._payload(statement))
            else:
                backend.notifications.listen(channel, kind is Kind.LISTEN)
            return notice + messages.complete(kind.name)
        if kind is Kind.DEALLOCATE:
            backend.prepared.deallocate(statement.name)
            return messages.complete("DEALLOCATE" if statement.name else "DEALLOCATE ALL")
        if kind is Kind.CLOSE_ALL:
            backend.objects.close_cursors()
            return messages.complete("CLOSE CURSOR ALL")
        if kind is Kind.RESET_ALL:
            backend.current().settings.reset_all(backend.session)
            return messages.complete("RESET")
        return self.discard(statement)

    def _payload(self, statement: Statement) -> str:
        """Return the payload of a NOTIFY, which the server reads where it is more than a word.

        Raises:
            StatementFailed: it can't be read, or is too long.
        """
        backend = self._backend
        payload = payload_of(statement.text)
        if not is_plain_notify(statement.text):
            backend.execution.check_syntax(statement.text)
            if literal := literal_of(statement.text):
                ((found,),) = backend.execution.evaluate(literal)
                payload = found or ""
        if len(payload.encode("utf-8", "surrogateescape")) > _LONGEST_PAYLOAD:
            raise failure("22023", "payload string too long")
        return payload

    def discard(self, statement: Statement) -> bytes:
        """Give up what DISCARD names."""
        backend = self._backend
        what = statement.bare.split()[1].upper()
        if what == "ALL" and backend.session.is_explicit:
            words = "DISCARD ALL cannot run inside a transaction block"
            raise StatementFailed(messages.error("25001", words))
        transaction = backend.current()
        if what == "ALL":
            transaction.settings.reset_all(backend.session)
            backend.notifications.listen(None, False)
            backend.objects.close_cursors()
            backend.database.advisory.release_all(backend)
            backend.prepared.forget_statements()
        if what in ("ALL", "TEMP", "TEMPORARY"):
            backend.objects.drop_temporary()
        if what in ("ALL", "SEQUENCES"):
            backend.objects.discard_sequences()
        return messages.complete(f"DISCARD {'TEMP' if what == 'TEMPORARY' else what}")

    def call_advisory(self, call: AdvisoryCall, statement: Statement) -> None:
        """Run a statement that is one call of a function on advisory locks.

        Raises:
            StatementFailed: it failed.
        """
        backend = self._backend
        answer = self.decide(call, backend.execution.evaluate(call.key_query))
        if answer is None:
            with self.calling():
                backend.execution.run(statement, messages.query(statement.text))
        else:
            backend.execution.answer_call(statement, answer.described())

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Let a call that the server answers count for nothing if it fails."""
        backend = self._backend
        try:
            yield
        except (StatementFailed, ServerError):
            backend.database.advisory.call_failed(backend)
            raise
        finally:
            backend.database.advisory.last = None

    def decide(self, call: AdvisoryCall, rows: list[tuple[str | None, ...]]) -> Answer | None:
        """Return the answer to *call*, or None where the server is to give it.

        *rows* are its keys: one, unless its argument returns a set.

        Raises:
            Waiting: another client holds the lock.
            StatementFailed: each waits for the other.
        """
        backend = self._backend
        if len(rows) != 1:
            backend.execution.takes_several = bool(rows)
            return None
        advisory = backend.database.advisory
        found = advisory.decide(backend, call, rows[0])
        if not isinstance(found, tuple):
            return found
        ((value,),) = backend.execution.evaluate(f"{call.of_session(found)}::text")
        return advisory.take_for_transaction(backend, call, found, _as_bool(value))


def _as_bool(value: str | None) -> str | None:
    return {"true": "t", "false": "f"}.get(value or "", value)


_LONGEST_PAYLOAD = 7999
"""Bytes that a notification may carry (PostgreSQL manual, NOTIFY)."""
_IS_TAKEN_AT_ONCE = re.compile(r"\bSNAPSHOT\b|\bCHARACTERISTICS\b", re.IGNORECASE)
"""What does not wait for a statement that looks at rows: another's snapshot, a session's level."""
_BEGINS = re.compile(r"\s*(?:BEGIN|START)\b", re.IGNORECASE)
