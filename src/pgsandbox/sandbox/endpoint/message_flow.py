"""The flow of messages between one client and its session (PostgreSQL manual, 53.2).

A unit of what the client sends is handed on: simple queries to `simple`, extended ones to
`extended`, the rows of a COPY to `copying`. How a unit ends is the same for all: by an error, by
the commit of what is in no transaction block, and by ReadyForQuery, before which the client hears
of notifications and of parameters that have changed.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.connection import Unit
from pgsandbox.sandbox.endpoint.failures import StatementFailed, aborted
from pgsandbox.sandbox.endpoint.messages import FAILED, IDLE, IN_TRANSACTION
from pgsandbox.sandbox.endpoint.server import Outcome, ServerError
from pgsandbox.sandbox.endpoint.statements import Kind, Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

_PING = re.compile(rb"\s*SELECT 1\s*;?\0", re.IGNORECASE)
_ONE = messages.rows([("?column?", 23)], [("1",)]) + messages.complete("SELECT 1")


class MessageFlow:
    """What one client sends and is sent."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._connection = backend.client.connection
        self.told: dict[str, str] = {}
        """The values of parameters as the client was told them."""
        server = backend.database.server
        self._reports = server.reports if server is not None else 0
        """How many reports of the server were looked at."""

    # -- one unit of messages -----------------------------------------------------------------

    def handle(self, unit: Unit) -> None:
        """Answer the messages of *unit*.

        Raises:
            Waiting: the client has to wait for another one.
        """
        backend = self._backend
        kind, body = unit[-1]
        if backend.copy is not None:
            backend.copy.take(unit)
            return
        if kind in (b"Q", b"F") and backend.extended.skips:
            return  # up to its next Sync the client is not listened to
        if kind == b"Q":
            if backend.ordinary.take(body):
                return
            if _PING.fullmatch(body) and self._is_idle():
                self._connection.send(_ONE)
            else:
                backend.simple.take(messages.string(body)[0].decode("utf-8", "surrogateescape"))
        elif kind == b"F":
            self._function_call(body)
        elif kind in (b"S", b"H"):
            backend.extended.take(unit)
            return
        elif kind in (b"d", b"c", b"f"):
            return  # what is left of a COPY that failed (manual, 53.2.6)
        if backend.copy is None:
            self.ready()

    def _is_idle(self) -> bool:
        backend, database = self._backend, self._backend.database
        server = database.server
        is_idle = not backend.session.in_transaction and not backend.is_cut
        return is_idle and server is not None and database.is_requested and not server.is_cut()

    def _function_call(self, body: bytes) -> None:
        """Run a FunctionCall, by which libpq reaches large objects."""
        backend = self._backend
        try:
            if backend.session.has_failed:
                raise aborted()
            statement = Statement("call of a large object's function", Kind.WRITE)
            backend.execution.run(statement, messages.message(b"F", body), is_recorded=False)
        except (StatementFailed, ServerError) as failed:
            self.failed(self.response_to(failed))
        self.end_of_unit()

    @property
    def has_escapes(self) -> bool:
        """Whether the client's strings have escapes without saying so."""
        return self.told.get("standard_conforming_strings") == "off"

    # -- a unit that waits, or never has its turn ---------------------------------------------

    def limits(self) -> tuple[float, str, str] | None:
        """Return how long the client may wait for a lock: seconds, SQLSTATE, the parameter's name.

        None if it may wait for ever.
        """
        (row,) = self._backend.execution.evaluate(
            "extract(epoch from current_setting('lock_timeout')::interval), "
            "extract(epoch from current_setting('statement_timeout')::interval)"
        )
        lock, statement = (float(each or 0) for each in row)
        found = [(lock, "55P03", "lock"), (statement, "57014", "statement")]
        return min((each for each in found if each[0] > 0), default=None)

    def resume(self) -> None:
        """Go on with a text whose statement had to wait.

        Raises:
            Waiting: it has to wait again.
        """
        self._backend.simple.go_on()
        if self._backend.copy is None:
            self.ready()

    def stop_waiting(self, response: bytes, unit: Unit) -> None:
        """Fail the statement that waits; *unit* is what is left of its messages, if it has any."""
        backend = self._backend
        backend.database.advisory.waiting.pop(backend, None)
        if backend.copy is not None:
            backend.copy.cancel(response)
            return
        if unit and unit[-1][0] in (b"S", b"H"):
            backend.extended.fail(response)
            backend.extended.take(unit)
            return
        self.failed(response)
        self.end_of_unit()
        self.ready()

    @property
    def can_fail_at_once(self) -> bool:
        """Whether what the client has sent last can fail without a question to the server."""
        backend, session = self._backend, self._backend.session
        is_between = session.is_explicit or not session.in_transaction
        is_listening = backend.copy is None and not backend.extended.skips
        return is_between and is_listening and not backend.is_cut and backend.peer is None

    def cancel_unserved(self, response: bytes, unit: Unit) -> None:
        """Fail *unit*, which has not had its turn, where it `can_fail_at_once`."""
        session = self._backend.session
        self._tell_error(response)
        session.has_failed = session.is_explicit
        if unit[-1][0] == b"H":
            self._backend.extended.skip_to_sync()
        else:
            self._connection.send(messages.ready(self._status))

    # -- how it ends --------------------------------------------------------------------------

    def response_to(self, failed: StatementFailed | ServerError) -> bytes:
        """Return what to tell the client; the transaction on the server is usable again."""
        if isinstance(failed, StatementFailed):
            return failed.response
        transaction = self._backend.current()
        if transaction.server.has_failed:
            transaction.fail(self._backend.session, Statement("", Kind.WRITE))
        return messages.message(b"E", failed.body)

    def failed(self, response: bytes) -> None:
        """Tell the client that a statement failed, and let its transaction have failed."""
        backend, session = self._backend, self._backend.session
        backend.simple.forget()
        if session.unanswered and backend.transaction is not None:  # it was refused here
            outcome = Outcome(error=messages.body_of(response))
            backend.transaction.ledger.answered(session, outcome)
        self._tell_error(response)
        if session.is_explicit:
            session.has_failed = True
            return
        if backend.transaction is not None and not backend.transaction.is_finished:
            # What is wrong is among the violations.
            with contextlib.suppress(PgSandboxError, ServerError):
                backend.transaction.rollback(session)
        session.ended()

    def _tell_error(self, response: bytes) -> None:
        """Send an ErrorResponse at once, as the server does: drivers may tell the difference."""
        self._connection.send(response)
        self._connection.flush()

    def end_of_unit(self) -> None:
        """Commit what is in no transaction block."""
        session = self._backend.session
        if session.in_transaction and not session.is_explicit:
            try:
                self._backend.control.commit()
            except (StatementFailed, ServerError) as failed:
                self._tell_error(self.response_to(failed))
        elif not session.in_transaction:
            self._backend.notifications.committed()
            if self._backend.transaction is not None:
                self._backend.transaction.ledger.ended_alone(session)

    def ready(self) -> None:
        """Say that the next query may come."""
        self._backend.notifications.deliver()
        if self.has_reports:
            self._report()
        self._connection.send(messages.ready(self._status))

    @property
    def _status(self) -> bytes:
        """Where the client's own transaction stands."""
        session = self._backend.session
        if session.has_failed:
            return FAILED
        return IN_TRANSACTION if session.is_explicit else IDLE

    @property
    def has_reports(self) -> bool:
        """Whether the client may have to hear of parameters that have changed."""
        server, transaction = self._backend.database.server, self._backend.transaction
        return (
            transaction is not None
            and server is not None
            and not transaction.is_finished
            and (server.reports != self._reports or transaction.settings.are_touched)
        )

    def _report(self) -> None:
        """Tell the client which of its parameters have changed, as ReadyForQuery comes next."""
        session, transaction = self._backend.session, self._backend.transaction
        assert transaction is not None
        settings, server = transaction.settings, transaction.server
        has_changed = settings.take_change(session)
        if server.is_lost or transaction.is_frozen:
            return
        if not settings.is_in_force(session):
            if not has_changed:
                return  # what the server has reported is somebody else's
            settings.put_in_force(session)
            server.flush()
        for name, value in server.reported.items():
            own = settings.value(session, name) if name == "application_name" else value
            if own is not None and self.told.get(name) != own:
                self.told[name] = own
                self._connection.send(messages.parameter(name, own))
        self._reports = server.reports
