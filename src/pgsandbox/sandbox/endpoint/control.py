"""Transaction control of one client: BEGIN, COMMIT, savepoints and modes, as its server has them.

None of it reaches the server as it stands, since all clients share one transaction there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.endpoint import messages, refusals
from pgsandbox.sandbox.endpoint.failures import StatementFailed, aborted, failure
from pgsandbox.sandbox.endpoint.modes import READ_COMMITTED, level_of, modes_of, set_modes
from pgsandbox.sandbox.endpoint.notifications import cut, payload_of
from pgsandbox.sandbox.endpoint.server import ServerError
from pgsandbox.sandbox.endpoint.statements import Kind, Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend


class TransactionControl:
    """What a client's transaction control does to the test transaction."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._refused: dict[str, bytes] = {}
        """What the client was told of transactions that it wanted to prepare, by identifier."""

    def run(self, statement: Statement, *, is_alone: bool = True) -> None:
        """Answer transaction control.

        Raises:
            StatementFailed: it can't be done.
        """
        backend = self._backend
        session, send = backend.session, backend.client.connection.send
        kind = statement.kind
        is_over = backend.transaction is None or backend.transaction.is_finished
        if kind in (Kind.COMMIT, Kind.ROLLBACK) and is_over:
            was_cut, backend.is_cut = backend.is_cut, False
            if was_cut and kind is Kind.COMMIT and not session.has_failed:
                session.ended()
                raise backend.came_late(backend.transaction.test if backend.transaction else "")
            tag = "ROLLBACK" if session.has_failed or kind is Kind.ROLLBACK else "COMMIT"
            if not session.is_explicit and _CHAINS.search(statement.bare):
                raise needs_block(f"{tag} AND CHAIN")
            if not session.is_explicit:
                send(messages.warning("25P01", "there is no transaction in progress"))
            session.ended()
            send(messages.complete(tag))
            return
        if kind is Kind.TWO_PHASE:
            self._two_phase(statement)
        backend.execution.record(statement)
        if session.has_failed and kind not in (Kind.COMMIT, Kind.ROLLBACK, Kind.ROLLBACK_TO):
            raise aborted()
        if kind is Kind.BEGIN:
            self.begin(statement.text)
            send(messages.complete(begin_tag(statement.text)))
        elif kind is Kind.COMMIT:
            self._end(statement, is_commit=True)
        elif kind is Kind.ROLLBACK:
            self._end(statement, is_commit=False)
        else:
            self._savepoint(statement)

    def _two_phase(self, statement: Statement) -> None:
        """Refuse to prepare a transaction, which is rolled back as by any error of its end."""
        if not statement.bare.lstrip().upper().startswith("PREPARE"):
            literal = payload_of(statement.text)
            if literal in self._refused:  # what a driver does about the refusal
                raise StatementFailed(self._refused[literal])
            words = f'prepared transaction with identifier "{literal}" does not exist'
            raise failure("42704", words)
        response = refusals.as_message(
            refusals.two_phase(statement.text, self._backend.database.running)
        )
        self._refused[payload_of(statement.text)] = response
        self.rollback()
        raise StatementFailed(response)

    def begin(self, text: str) -> None:
        """Begin a transaction block, or go on in the one that is open."""
        backend = self._backend
        if backend.session.is_explicit:
            words = "there is already a transaction in progress"
            backend.client.connection.send(messages.warning("25001", words))
        backend.current().begin(backend.session, text)
        if backend.lets_isolation_pass and backend.session.modes.asked:
            backend.session.modes = backend.session.modes._replace(level="", asked="")

    def _end(self, statement: Statement, *, is_commit: bool) -> None:
        backend = self._backend
        send = backend.client.connection.send
        chains = _CHAINS.search(statement.bare) is not None
        if not backend.session.is_explicit:
            if chains:
                word = "COMMIT" if is_commit else "ROLLBACK"
                raise needs_block(f"{word} AND CHAIN")
            send(messages.warning("25P01", "there is no transaction in progress"))
        has_failed = backend.session.has_failed
        session = backend.session
        modes = session.modes
        if is_commit:
            self.commit()
        else:
            self.rollback()
        if chains:
            self.begin("BEGIN")
            session.modes = modes
        send(messages.complete("COMMIT" if is_commit and not has_failed else "ROLLBACK"))

    def commit(self) -> None:
        """Commit the client's own transaction.

        Raises:
            StatementFailed: what was deferred to its end is violated, or the kit refuses it.
        """
        backend = self._backend
        backend.objects.before_commit()
        transaction = backend.current()
        transaction.server.notices.clear()
        try:
            try:
                transaction.commit(backend.session)
            finally:  # of deferred triggers
                for notice in transaction.server.notices:
                    backend.client.connection.send(notice)
        except ServerError as error:
            raise StatementFailed(messages.message(b"E", error.body)) from error
        except PgSandboxError as error:
            backend.session.ended()
            raise StatementFailed(refusals.as_message(error)) from error

    def rollback(self) -> None:
        """Undo the client's own transaction.

        Raises:
            StatementFailed: the kit refuses it.
        """
        backend = self._backend
        transaction = backend.current()
        try:
            transaction.rollback(backend.session)
        except PgSandboxError as error:
            backend.session.ended()
            raise StatementFailed(refusals.as_message(error)) from error

    def _savepoint(self, statement: Statement) -> None:
        backend = self._backend
        session, send = backend.session, backend.client.connection.send
        word = {Kind.SAVEPOINT: "SAVEPOINT", Kind.RELEASE: "RELEASE SAVEPOINT"}.get(
            statement.kind, "ROLLBACK TO SAVEPOINT"
        )
        if not session.is_explicit:
            raise needs_block(word)
        transaction = backend.current()
        notice, name = cut(statement.name)
        if notice:
            send(notice)
            statement = Statement(statement.text, statement.kind, name, statement.offset)
        try:
            if statement.kind is Kind.SAVEPOINT:
                transaction.set_savepoint(session, statement)
                send(messages.complete("SAVEPOINT"))
                return
            if not transaction.stack.has_savepoint(session, statement.name):
                words = f'savepoint "{statement.name}" does not exist'
                raise StatementFailed(messages.error("3B001", words))
            if statement.kind is Kind.RELEASE:
                transaction.release(session, statement)
                backend.notifications.released(session)
                backend.objects.released()
                backend.database.advisory.released(backend, session.depth())
                send(messages.complete("RELEASE"))
            else:
                transaction.rollback_to(session, statement)
                backend.notifications.rolled_back(session)
                backend.objects.rolled_back()
                backend.database.advisory.rolled_back(backend, session.depth())
                send(messages.complete("ROLLBACK"))
        except PgSandboxError as error:
            raise StatementFailed(refusals.as_message(error)) from error

    def set_mode(self, statement: Statement, *, is_alone: bool) -> bytes:
        """Answer SET TRANSACTION and what sets the same by a parameter.

        Raises:
            StatementFailed: PostgreSQL has it too late.
        """
        backend, session = self._backend, self._backend.session
        backend.current()  # which is refused where no test runs
        if not session.is_explicit and is_alone:
            if "_" in statement.text and "LOCAL" not in statement.text.upper():
                return messages.complete("SET")
            word = "LOCAL" if "_" in statement.text else "TRANSACTION"
            words = f"SET {word} can only be used in transaction blocks"
            return messages.warning("25P01", words) + messages.complete("SET")
        self._check_level_is_early(statement.text)
        reads_only, is_deferrable = modes_of(statement.text)
        if reads_only is False and session.modes.reads_only:
            if session.depth():
                words = "cannot set transaction read-write mode inside a read-only transaction"
                raise failure("25001", words)
            if session.has_queried:
                words = "transaction read-write mode must be set before any query"
                raise failure("25001", words)
        if is_deferrable is not None and (session.depth() or session.has_queried):
            what = "cannot be called within a subtransaction"
            what = what if session.depth() else "must be called before any query"
            raise failure("25001", f"SET TRANSACTION [NOT] DEFERRABLE {what}")
        set_modes(session, statement.text)
        return messages.complete("SET")

    def _check_level_is_early(self, text: str) -> None:
        session, level = self._backend.session, level_of(text)
        if level is None or level == (session.modes.level or READ_COMMITTED):
            return
        if session.has_queried or session.depth():
            what = "be called before any query"
            what = what if session.has_queried else "not be called in a subtransaction"
            raise failure("25001", f"SET TRANSACTION ISOLATION LEVEL must {what}")

    def check_level(self, statement: Statement) -> None:
        """Refuse to look at rows in a transaction that asked for a snapshot of its own.

        A transaction that only asked, which shows its level or ends, has missed nothing.

        Raises:
            StatementFailed: *statement* looks at rows.
        """
        backend = self._backend
        asked = backend.session.modes.asked
        if asked and statement.text and statement.takes_snapshot:
            error = refusals.isolation_level(asked, backend.label, backend.database.running)
            raise StatementFailed(refusals.as_message(error))

    def check_block(self, statement: Statement, *, is_alone: bool) -> None:
        """Say what PostgreSQL says to what needs a transaction block, where there is none.

        Raises:
            StatementFailed: it is an error.
        """
        backend = self._backend
        if backend.session.is_explicit or not is_alone:
            return
        if statement.kind is Kind.LOCK_TABLE:
            raise needs_block("LOCK TABLE")
        if statement.kind is Kind.DECLARE and not backend.objects.is_with_hold(statement):
            raise needs_block("DECLARE CURSOR")
        if statement.is_set_local or statement.sets_constraints:
            word = "LOCAL" if statement.is_set_local else "CONSTRAINTS"
            words = f"SET {word} can only be used in transaction blocks"
            backend.client.connection.send(messages.warning("25P01", words))


def needs_block(what: str) -> StatementFailed:
    """Return what PostgreSQL says of *what* outside of a transaction block."""
    return failure("25P01", f"{what} can only be used in transaction blocks")


def begin_tag(text: str) -> str:
    """Return the tag by which a server answers *text*, which begins a transaction block."""
    return "START TRANSACTION" if text.lstrip().upper().startswith("START") else "BEGIN"


_CHAINS = re.compile(r"\bAND\s+CHAIN\b", re.IGNORECASE)
