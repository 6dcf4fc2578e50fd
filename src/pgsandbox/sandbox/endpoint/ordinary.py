"""The short way of ordinary statements, which most statements of most tests are.

A statement is ordinary if its words say that it only reads or writes rows, and the moment is calm
if nothing of what the long way asks about can matter to it: the client is in a transaction block
and nobody stands in its way, nobody has changed parameters, made temporary tables or listens, and
the database has no functions of its own. Then all that the kit does for the statement is to put it
into its client's savepoint and to remember it, and it does that while the server, or the client,
is at work already.

`simple` and `execution` are the long way. What it does for an ordinary statement in a calm moment
is the same: whoever adds a question to it that such a statement can answer by yes, asks it here,
too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.endpoint import messages, refusals
from pgsandbox.sandbox.endpoint.failures import StatementFailed
from pgsandbox.sandbox.endpoint.statements import PLAIN, Kind, Statement, split

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

_OF_ROWS = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_READY = messages.ready(messages.IN_TRANSACTION)


class OrdinaryStatements:
    """Those statements of one client that can go the short way."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def take(self, body: bytes) -> bool:
        """Answer the Query of *body* and return True; or do nothing, if it has to go the long way.

        ReadyForQuery belongs to the answer.
        """
        backend = self._backend
        if not self._is_calm():
            return False
        text = messages.string(body)[0].decode("utf-8", "surrogateescape")
        if not _OF_ROWS.match(text):
            return False
        found = split(text, has_escapes=backend.flow.has_escapes)
        if len(found) != 1 or not self._can_hold(found[0]):
            return False
        (statement,) = found
        backend.extended.forget_unnamed()
        try:
            if self.send(statement, messages.message(b"Q", body), is_last=True):
                return True
        except StatementFailed as failed:
            backend.flow.failed(failed.response)
            backend.flow.end_of_unit()
        backend.flow.ready()
        return True

    def can_hold(self, statement: Statement) -> bool:
        """Whether *statement*, which is sent next, can go the short way; the server is ready then.

        An empty one stands for messages that run nothing.
        """
        is_of_rows = not statement.text or _OF_ROWS.match(statement.text) is not None
        return is_of_rows and self._is_calm() and self._can_hold(statement)

    def _is_calm(self) -> bool:
        backend = self._backend
        transaction = backend.transaction
        return transaction is not None and transaction.is_calm(backend.session) and backend.is_calm

    def _can_hold(self, statement: Statement) -> bool:
        """Put the client on top of the savepoints, if that takes no question to the server."""
        if statement.kind not in PLAIN or statement.offset or not statement.is_ordinary:
            return False
        backend, session = self._backend, self._backend.session
        database, transaction = backend.database, backend.current()
        if (
            statement.kind is not Kind.WRITE
            and database.looks_for_uncommitted
            and transaction.dirty_reads.are_possible(session, statement)
        ):
            return False
        sql = transaction.stack.put_on_top(session, statement)
        if sql is None:
            return False
        if statement.kind is Kind.WRITE:
            is_certain = statement.takes_numbers
            database.sequence_values.taken(backend, transaction.server, is_certain=is_certain)
        if sql:
            transaction.server.queue(sql)
        return True

    def send(self, statement: Statement, request: bytes, *, is_last: bool) -> bool:
        """Let the server run *statement*, for which `can_hold` is true; forward its answers.

        If it *is_last* before ReadyForQuery, the client may be told that, too; return whether.

        Raises:
            StatementFailed: it failed.
        """
        backend = self._backend
        transaction, session = backend.current(), backend.session
        if statement.text:
            transaction.ledger.record(session, statement.text)
        try:
            outcome = transaction.converse(session, request, backend.execution.forward)
        except PgSandboxError as error:
            raise StatementFailed(refusals.as_message(error)) from error
        if outcome.error is not None:
            transaction.fail(session, statement)
            transaction.ledger.answered(session, outcome)
            backend.objects.failed(statement)
            response = backend.execution.explained(outcome.error, statement, transaction)
            raise StatementFailed(response, parsed=outcome.parsed)
        # The client goes on while the books are kept, unless there is more to tell it.
        is_told = is_last and transaction.server.is_in_transaction and not backend.flow.has_reports
        if is_told:
            backend.client.connection.send(_READY)
            backend.client.connection.flush()
        transaction.succeeded(session, statement)
        if session.unanswered:
            transaction.ledger.answered(session, outcome)
        return is_told
