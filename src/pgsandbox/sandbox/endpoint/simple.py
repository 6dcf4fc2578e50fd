"""Simple queries (PostgreSQL manual, 53.2.2): texts of one statement or several.

A text is run statement by statement where transaction control, or what belongs to one session,
stands in it; what stands between them goes to the server as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.advisory import call_of
from pgsandbox.sandbox.endpoint.copying import CopyIn
from pgsandbox.sandbox.endpoint.failures import StatementFailed, aborted
from pgsandbox.sandbox.endpoint.modes import mode_to_show
from pgsandbox.sandbox.endpoint.notifications import notify_call
from pgsandbox.sandbox.endpoint.server import ServerError
from pgsandbox.sandbox.endpoint.statements import (
    ANSWERED_HERE,
    CONTROL,
    PLAIN,
    Kind,
    Statement,
    split,
    together,
)

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend


class SimpleQueries:
    """The simple queries of one client."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._text = ""
        """The text that is run."""
        self._rest: list[Statement] = []
        """What is left of a text whose statement waits: for a lock, or for the rows of a COPY."""

    def take(self, text: str) -> None:
        """Run *text*, the client's query."""
        backend = self._backend
        backend.extended.forget_unnamed()
        statements = split(text, has_escapes=backend.flow.has_escapes)
        if not statements:
            backend.client.connection.send(messages.EMPTY_QUERY)
        self._text, self._rest = text, list(statements)
        is_alone = len(statements) == 1
        if backend.session.has_failed or (not is_alone and any(map(_is_apart, statements))):
            try:
                backend.execution.check_syntax(text)
            except StatementFailed as failed:
                backend.flow.failed(failed.response)
                backend.flow.end_of_unit()
                return
        self.go_on(is_alone=is_alone)

    def go_on(self, *, is_alone: bool = False) -> None:
        """Run what is left of a text, those statements between transaction control as one.

        Raises:
            Waiting: a statement has to wait for another client.
        """
        backend = self._backend
        try:
            while self._rest:
                count = 1
                if len(self._rest) > 1 and not _is_apart(self._rest[0]):
                    apart = (place for place, each in enumerate(self._rest) if _is_apart(each))
                    count = next(apart, len(self._rest))
                first, rest = self._rest[:count], self._rest[count:]
                if count == 1:
                    self.run(first[0], is_alone=is_alone)
                else:
                    self._run_together(first)
                self._rest = rest
                if backend.copy is not None:
                    return
        except (StatementFailed, ServerError) as failed:
            self._rest = []
            backend.flow.failed(backend.flow.response_to(failed))
        backend.flow.end_of_unit()

    @property
    def has_rest(self) -> bool:
        """Whether a text is not done."""
        return bool(self._rest)

    def _run_together(self, statements: list[Statement]) -> None:
        backend = self._backend
        if backend.session.has_failed:
            raise aborted()
        first, last = statements[0], statements[-1]
        text = self._text[first.offset : last.offset + len(last.text)]
        for each in statements:
            backend.execution.record(each)
        combined = Statement(text, together(statements), offset=statements[0].offset)
        backend.execution.run(combined, self._query(text), is_recorded=False)

    def _query(self, text: str) -> bytes:
        return messages.query(self._backend.execution.masked(text))

    def run(self, statement: Statement, *, is_alone: bool = True) -> None:
        """Run one statement of a simple query; *is_alone* if nothing else stands in its text.

        Raises:
            StatementFailed: it failed.
        """
        backend = self._backend
        kind = statement.kind
        if kind in CONTROL:
            backend.control.run(statement, is_alone=is_alone)
        elif backend.session.has_failed:
            raise aborted()
        elif kind in ANSWERED_HERE:
            backend.execution.answer(statement, is_alone=is_alone)
        else:
            self._run_on_server(statement, is_alone=is_alone)

    def _run_on_server(self, statement: Statement, *, is_alone: bool) -> None:
        backend = self._backend
        if statement.kind is Kind.READ and (call := call_of(statement)) is not None:
            backend.statements.call_advisory(call, statement)
            return
        if statement.kind is Kind.READ and (arguments := notify_call(statement)) is not None:
            for row in backend.execution.evaluate(arguments):
                backend.notifications.notify(row[0] or "", row[1] or "")
        if statement.kind is Kind.COPY_IN:
            backend.execution.record(statement)
            request = messages.query(statement.text)
            backend.copy = CopyIn.begun(backend, statement, request)
            return
        backend.control.check_block(statement, is_alone=is_alone)
        sent = backend.objects.prepared(statement)
        if sent is statement:
            backend.execution.run(statement, self._query(statement.text))
            backend.execution.look_at(statement)
        else:
            backend.execution.record(statement)
            backend.execution.run(statement, self._query(sent.text), is_recorded=False)

    def forget(self) -> None:
        """Run nothing of what is left of a text."""
        self._rest = []


def _is_apart(statement: Statement) -> bool:
    """Whether *statement* can't be sent with others."""
    return (
        statement.kind not in PLAIN
        or statement.is_set_local
        or statement.names_own_state
        or statement.sets_constraints
        or mode_to_show(statement.text) is not None
        or notify_call(statement) is not None
        or call_of(statement) is not None
    )
