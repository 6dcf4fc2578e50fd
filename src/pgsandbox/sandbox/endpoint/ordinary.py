"""The short way of ordinary statements, which most statements of most tests are.

A statement is ordinary if its words say that it only reads or writes rows, and the moment is calm
if nothing of what the long way asks about can matter to it: the client is in a transaction block
and nobody stands in its way, nobody has changed parameters, made temporary tables or listens, and
the database has no functions of its own. Then all that the kit does for the statement is to put it
into its client's savepoint and to remember it, and it does that while the server, or the client,
is at work already.

`simple` and `backend` are the long way. What it does for an ordinary statement in a calm moment is
the same: whoever adds a question to it that such a statement can answer by yes, asks it here, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.endpoint import messages, refusals
from pgsandbox.sandbox.endpoint.server import Outcome
from pgsandbox.sandbox.endpoint.statements import PLAIN, Kind, Statement, split
from pgsandbox.sandbox.endpoint.transaction import TestTransaction

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

_OF_ROWS = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_READY = messages.ready(messages.IN_TRANSACTION)


class OrdinaryQueries:
    """Those simple queries of one client that can go the short way."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def take(self, body: bytes) -> bool:
        """Answer the Query of *body* and return True; or do nothing, if it has to go the long way.

        ReadyForQuery belongs to the answer.
        """
        backend = self._backend
        transaction = backend.transaction
        if transaction is None or not transaction.is_calm(backend.session) or not backend.is_calm:
            return False
        text = messages.string(body)[0].decode("utf-8", "surrogateescape")
        statement = self._ordinary(text)
        if statement is None or not self._is_held(transaction, statement):
            return False
        backend.extended.forget_unnamed()
        transaction.record(backend.session, statement.text)
        try:
            request = messages.message(b"Q", body)
            outcome = transaction.converse(backend.session, request, backend.forward)
        except PgSandboxError as error:
            self._failed(refusals.as_message(error))
            return True
        self._answered(transaction, statement, outcome)
        return True

    def _ordinary(self, text: str) -> Statement | None:
        """Return *text* as a statement, if it is one, and ordinary."""
        if not _OF_ROWS.match(text):
            return None
        found = split(text, has_escapes=self._backend.has_escapes)
        if len(found) != 1:
            return None
        (statement,) = found
        is_ordinary = statement.kind in PLAIN and not statement.offset and statement.is_ordinary
        return statement if is_ordinary else None

    def _is_held(self, transaction: TestTransaction, statement: Statement) -> bool:
        """Put the client on top of the savepoints, if that takes no question to the server."""
        backend, session = self._backend, self._backend.session
        database = backend.database
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

    def _answered(
        self, transaction: TestTransaction, statement: Statement, outcome: Outcome
    ) -> None:
        backend, session = self._backend, self._backend.session
        if outcome.error is not None:
            transaction.fail(session, statement)
            transaction.answered(session, outcome)
            backend.objects.failed(statement)
            self._failed(backend.explained(outcome.error, statement, transaction))
            return
        # The client goes on while the books are kept, unless there is more to tell it.
        is_told = transaction.server.is_in_transaction and not backend.has_reports
        if is_told:
            backend.client.connection.send(_READY)
            backend.client.connection.flush()
        transaction.succeeded(session, statement)
        transaction.answered(session, outcome)
        if not is_told:
            backend.ready()

    def _failed(self, response: bytes) -> None:
        self._backend.failed(response)
        self._backend.end_of_unit()
        self._backend.ready()
