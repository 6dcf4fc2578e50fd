"""How statements of a client are run on the server, and what is done with what comes of them.

This is the long way, which every statement can go; `ordinary` is the short one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.endpoint import messages, refusals
from pgsandbox.sandbox.endpoint.advisory import call_of
from pgsandbox.sandbox.endpoint.failures import StatementFailed
from pgsandbox.sandbox.endpoint.larger_locks import LargerLocks
from pgsandbox.sandbox.endpoint.modes import mode_to_show, modes_shown
from pgsandbox.sandbox.endpoint.own_state import rewriting_of
from pgsandbox.sandbox.endpoint.server import Outcome, nobody
from pgsandbox.sandbox.endpoint.sessions import Executed
from pgsandbox.sandbox.endpoint.statements import (
    ANSWERED_HERE,
    PLAIN,
    Kind,
    Statement,
    sent_as,
)
from pgsandbox.sandbox.endpoint.transaction import TestTransaction

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend
    from pgsandbox.sandbox.endpoint.dirty_reads import Ask

_SELECTED, _SHOWN = messages.complete("SELECT 1"), messages.complete("SHOW")
_MOST_UNSENT = 1024 * 1024
"""How much of an answer waits for a client that does not read it before the server waits."""
_UNDEFINED = "42704"
_OF_PARSER = frozenset({"scanner_yyerror", "base_yyparse", "base_yylex"})
"""Routines of the server that complain of a text before they know what it means."""
_SYNTAX = "pgsandbox_syntax"
_LONG, _MANY = 5_000, 1_000
"""How long texts are, and how many, that are remembered as right."""


class Execution:
    """The statements that one client has the server run."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.may_have_notified = False
        """Whether its statement may have run a routine that notifies."""
        self.takes_several = False
        """Whether its statement is a call for several advisory locks."""

    def run(
        self, statement: Statement, request: bytes, *, again: bytes = b"", is_recorded: bool = True
    ) -> Outcome:
        """Let the server run *statement*, whose message is *request*; forward its answers.

        *again* parses right before it what a simple query ends, and nobody hears of that.

        Raises:
            StatementFailed: it failed.
        """
        backend = self._backend
        if is_recorded:
            self.record(statement)
        transaction = backend.current()
        server = transaction.server
        backend.control.check_level(statement)
        backend.objects.before(transaction, statement)

        modes = modes_shown(backend.session, statement.text)
        is_shown = bool(modes) and mode_to_show(statement.text) in modes

        def send() -> Outcome:
            if again:
                server.queue_messages(again)
            return server.converse(request, self._forward_shown if is_shown else self.forward)

        try:
            outcome = self.perform(statement, send)
        except StatementFailed:
            backend.objects.failed(statement)
            raise
        if outcome.copy_in is None:
            backend.objects.after(transaction, statement)
        return outcome

    def run_unheard(self, statement: Statement) -> None:
        """Run *statement* for this client, which hears nothing of it.

        Raises:
            StatementFailed: it failed.
        """
        server = self._backend.current().server
        self.perform(statement, lambda: server.converse(messages.query(statement.text), nobody))

    def evaluate(self, expressions: str) -> list[tuple[str | None, ...]]:
        """Return the rows that *expressions* are: one, unless one of them returns a set."""
        server = self._backend.current().server
        rows: list[tuple[str | None, ...]] = []

        def send() -> Outcome:
            rows.extend(server.rows(f"SELECT {expressions}"))
            return Outcome()

        self.perform(Statement(expressions, Kind.READ), send, is_our_own=True)
        return rows

    def perform(
        self, statement: Statement, send: Callable[[], Outcome], *, is_our_own: bool = False
    ) -> Outcome:
        """Let the test transaction hold what *send* does, and return what came of it.

        Raises:
            StatementFailed: it failed.
        """
        backend = self._backend
        transaction, session = backend.current(), backend.session
        hidden = backend.objects.hidden_settings(statement)
        if backend.database.listeners and not is_our_own:
            send = self._heard(transaction, statement, send)
        locks = None if is_our_own else self._larger_locks(statement)
        if locks is not None:
            send = _among(locks, transaction, send)
        try:
            outcome = transaction.perform(session, _as_sent(statement), send, hidden=hidden)
        except PgSandboxError as error:
            if locks is not None:
                locks.abandon()
            raise StatementFailed(refusals.as_message(error)) from error
        if locks is not None:
            locks.take_back(transaction.server, outcome)
        if session.unanswered and outcome.copy_in is None and not is_our_own:
            transaction.ledger.answered(session, outcome)
        if outcome.error is not None:
            response = self.explained(outcome.error, statement, transaction)
            raise StatementFailed(response, parsed=outcome.parsed)
        self._take_notes(transaction, statement, outcome)
        return outcome

    def _heard(
        self, transaction: TestTransaction, statement: Statement, send: Callable[[], Outcome]
    ) -> Callable[[], Outcome]:
        """Return *send* such that what functions and triggers notify is written down."""

        def heard() -> Outcome:
            database = self._backend.database
            self.may_have_notified = database.routines.may_run(
                transaction, statement, database.functions.may_run
            )
            return send()

        return heard

    def _larger_locks(self, statement: Statement) -> LargerLocks | None:
        """Return the locks around *statement*, if it may take any that can't be read from it."""
        if statement.names_advisory_locks:
            is_larger, self.takes_several = self.takes_several, False
            is_larger = is_larger or call_of(statement) is None
            return LargerLocks(self._backend, statement) if is_larger else None
        if not self._backend.database.functions.may_lock(statement):
            return None
        return LargerLocks(self._backend, statement)

    def _take_notes(
        self, transaction: TestTransaction, statement: Statement, outcome: Outcome
    ) -> None:
        """Take what *statement* has written down for the endpoint to do."""
        backend = self._backend
        if self.may_have_notified or statement.writes_notifications_down:
            self.may_have_notified = False
            if outcome.copy_in is None:
                backend.notifications.gather(transaction.server)
        if statement.ends_sessions:
            backend.client.endpoint.end_clients(backend.own_state.ended(transaction))

    def explained(self, body: bytes, statement: Statement, transaction: TestTransaction) -> bytes:
        """Return the server's error as the client is to read it."""
        backend = self._backend
        fields = messages.fields_of(body)
        code = fields.get("C", "")
        if code == _UNDEFINED:
            for name, alias in transaction.server.placeholders.items():
                body = body.replace(f'"{alias}"'.encode(), f'"{name}"'.encode())
        if not backend.session.is_explicit and code in refusals.ENDS_TRANSACTIONS:
            error = refusals.not_in_transaction(statement.text, transaction.test)
            return refusals.as_message(error)
        if code == "25001" and "pg_export_snapshot" in statement.text.lower():
            return refusals.as_message(refusals.snapshot(statement.text, transaction.test))
        if (
            code == "34000"
            and statement.kind is Kind.CURSOR
            and backend.objects.has_cursor(statement.name)
        ):
            error = refusals.cursor_closed(statement.name or "", backend.label, transaction.test)
            return refusals.as_message(error)
        changed = {}
        if fields.get("P", "").isdigit():
            position = int(fields["P"])
            other = rewriting_of(statement.text) if statement.names_own_state else None
            position = other.original(position) if other is not None else position
            if statement.offset or other is not None:
                changed["P"] = str(position + statement.offset)
        if note := refusals.NOTES.get(code):
            changed["H"] = f"{fields['H']}\n{note}" if "H" in fields else note
        return messages.with_fields(body, changed) if changed else messages.message(b"E", body)

    def forward(self, data: bytes | memoryview) -> None:
        """Let the client have *data* of the server; wait where it does not take it."""
        client = self._backend.client
        client.connection.send(bytes(data))
        if len(client.connection.outgoing) > _MOST_UNSENT:
            client.endpoint.wait_for_reader(client)

    def _forward_shown(self, data: bytes | memoryview) -> None:
        """Forward what answers a SHOW that was sent in other words."""
        self.forward(bytes(data).replace(_SELECTED, _SHOWN))

    # -- before and after it is sent ----------------------------------------------------------

    def record(self, statement: Statement, *, is_sent: bool | None = None) -> Executed | None:
        """Remember *statement* as sent by the client, and return what is remembered, if anything.

        It is answered by the server if it *is_sent*, which its kind says unless it is given.
        """
        backend = self._backend
        if statement.kind is Kind.DEALLOCATE and not backend.database.is_requested:
            # What a driver does after a rollback, which is the test's end, needs no test.
            return None
        if not backend.is_set_up or not statement.text.strip("; \n\t"):  # a driver's ping
            return None
        transaction = backend.current()
        is_sent = statement.kind not in ANSWERED_HERE if is_sent is None else is_sent
        return transaction.ledger.record(backend.session, statement.text, is_sent=is_sent)

    def answer(self, statement: Statement, *, is_alone: bool) -> None:
        """Answer *statement*, which belongs to the session and is not sent.

        Raises:
            StatementFailed: it is refused.
        """
        backend = self._backend
        sent = self.record(statement)
        try:
            answer = backend.statements.answer(statement, is_alone=is_alone)
        except StatementFailed as failed:
            if sent is not None:
                sent.error = failed.body
            raise
        self._tell(sent, answer)

    def answer_call(self, statement: Statement, answer: bytes) -> None:
        """Give *answer* to *statement*, a call whose result is known without the server."""
        self._tell(self.record(statement, is_sent=False), answer)

    def _tell(self, sent: Executed | None, answer: bytes) -> None:
        if sent is not None:
            sent.tag = messages.tag_of(answer)
        self._backend.client.connection.send(answer)

    def masked(self, text: str) -> str:
        """Return *text* such that custom parameters which others have set are unknown to it.

        The modes of the transaction, which may begin with it, are read as those of the client's.
        """
        transaction, session = self._backend.current(), self._backend.session
        if not session.in_transaction:
            transaction.take_default_modes(session)
        return transaction.settings.masked(session, text)

    def check_syntax(self, text: str) -> None:
        """Let the server read *text* as a whole, as it does before it runs anything of it.

        A Parse runs nothing, and fails in its grammar first (PostgreSQL manual, 53.2.3).

        Raises:
            StatementFailed: the text is wrong somewhere.
        """
        backend = self._backend
        known, transaction = backend.database.known_texts, backend.transaction
        is_over = transaction is not None and (transaction.is_finished or transaction.is_broken)
        if text in known or is_over:
            return
        transaction = backend.current()
        server = transaction.server
        transaction.settings.put_in_force(backend.session)
        server.queue(f"SAVEPOINT {_SYNTAX}")
        body = messages.text(_SYNTAX, text) + b"\0\0"
        outcome = server.converse(messages.message(b"P", body) + messages.SYNC, nobody)
        server.queue(f"ROLLBACK TO SAVEPOINT {_SYNTAX}; RELEASE SAVEPOINT {_SYNTAX}")
        if outcome.error is not None:
            fields = messages.fields_of(outcome.error)
            if fields.get("C") == "42601" and fields.get("R") in _OF_PARSER:
                raise StatementFailed(messages.message(b"E", outcome.error))
        if len(text) < _LONG:
            if len(known) > _MANY:
                known.clear()
            known.add(text)

    def look_at(self, statement: Statement, ask: Ask | None = None) -> None:
        """See whether *statement*, just run, has read what another client has not committed.

        *ask* asks it again, with its parameters if it had any.
        """
        backend = self._backend
        transaction, database = backend.transaction, backend.database
        if transaction is None or not transaction.ledger.writers or not backend.is_set_up:
            return
        if not database.looks_for_uncommitted:
            return
        reads, functions = transaction.dirty_reads, database.functions
        if reads.are_possible(backend.session, statement) and not functions.may_run(statement):
            reads.look(backend.session, statement, ask or transaction.server.rows)


def _as_sent(statement: Statement) -> Statement:
    if statement.kind in PLAIN:
        return statement
    return Statement(statement.text, sent_as(statement.kind), statement.name, statement.offset)


def _among(
    locks: LargerLocks, transaction: TestTransaction, send: Callable[[], Outcome]
) -> Callable[[], Outcome]:
    """Return *send* such that what other clients hold is in the way of what it does."""

    def among() -> Outcome:
        locks.give_away(transaction.server)
        return send()

    return among
