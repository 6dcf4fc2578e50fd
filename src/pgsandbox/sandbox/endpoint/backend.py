"""What a client finds behind its connection: a session of its own, as a server's backend gives one.

Its messages are handed on from here: simple queries to `simple`, extended ones to `extended`, the
rows of a COPY to `copying`.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.endpoint import messages, refusals
from pgsandbox.sandbox.endpoint.connection import Unit
from pgsandbox.sandbox.endpoint.control import TransactionControl
from pgsandbox.sandbox.endpoint.copying import CopyIn
from pgsandbox.sandbox.endpoint.execution import Execution
from pgsandbox.sandbox.endpoint.extended import ExtendedQueries
from pgsandbox.sandbox.endpoint.failures import StatementFailed, aborted
from pgsandbox.sandbox.endpoint.messages import FAILED, IDLE, IN_TRANSACTION
from pgsandbox.sandbox.endpoint.notifications import Notifications
from pgsandbox.sandbox.endpoint.objects import SessionObjects
from pgsandbox.sandbox.endpoint.ordinary import OrdinaryStatements
from pgsandbox.sandbox.endpoint.prepared import PreparedStatements
from pgsandbox.sandbox.endpoint.server import ServerError
from pgsandbox.sandbox.endpoint.session_statements import SessionStatements
from pgsandbox.sandbox.endpoint.sessions import ClientSession
from pgsandbox.sandbox.endpoint.simple import SimpleQueries
from pgsandbox.sandbox.endpoint.statements import Kind, Statement
from pgsandbox.sandbox.endpoint.telling import OwnState
from pgsandbox.sandbox.endpoint.transaction import TestTransaction

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.client import Client
    from pgsandbox.sandbox.endpoint.database import TestDatabaseSession

_PING = re.compile(rb"\s*SELECT 1\s*;?\0", re.IGNORECASE)
_ONE = messages.rows([("?column?", 23)], [("1",)]) + messages.complete("SELECT 1")


class Backend:
    """The session that one client has, and what it does with the test transaction."""

    def __init__(
        self,
        client: Client,
        database: TestDatabaseSession,
        *,
        label: str,
        is_arranging: bool,
        lets_isolation_pass: bool,
        defaults: dict[str, str],
        application_name: str | None,
        peer: Backend | None = None,
    ) -> None:
        self.client = client
        self._shares_with = peer
        self.database = database
        self.label = label
        self.is_arranging = is_arranging
        self.lets_isolation_pass = lets_isolation_pass
        """Whether its engine asks for an isolation level that nobody gets, on every connection."""
        self.application_name = application_name
        self.defaults = defaults
        """What it asked for when it connected: what RESET goes back to."""
        self.told: dict[str, str] = {}
        """The values of parameters as the client was told them."""
        self._reports = database.server.reports if database.server is not None else 0
        """How many reports of the server were looked at."""
        self.baseline: dict[str, str] = dict(defaults)
        """What each test begins with."""
        self.is_set_up = False
        """Whether its engine has handed it out: what it sent before is not the test's."""
        self.wrote_in_set_up = False
        """Whether something that its engine wrote when it connected ends with the test."""
        self.is_cut = False
        """Whether its transaction ended with its test, and another thread or process has it."""
        self.held_since = ""
        """The test that is over in which a thread of that test's own took it, and keeps it."""
        self._session = ClientSession(label, is_arranging)
        self._transaction: TestTransaction | None = None
        self.standing: list[tuple[TestTransaction, ClientSession]] = []
        """Where it stands in what wider fixtures have made, the widest first."""
        self.execution = Execution(self)
        self.prepared = PreparedStatements(self)
        self.extended = ExtendedQueries(self)
        self.copy: CopyIn | None = None
        """The COPY whose rows the client is sending."""
        self.notifications = Notifications(self)
        self.objects = SessionObjects(self)
        self.own_state = OwnState(self)
        self.simple = SimpleQueries(self)
        self.ordinary = OrdinaryStatements(self)
        self.control = TransactionControl(self)
        self.statements = SessionStatements(self)

    @property
    def peer(self) -> Backend | None:
        """Whose transaction it shares: a driver that blocks beside one that does not.

        Until its engine has set it up it shares none: what that rolls back is not the other's.
        """
        return self._shares_with if self.is_set_up else None

    @property
    def root(self) -> Backend:
        """The client whose transaction it shares, or itself."""
        return self.peer.root if self.peer is not None else self

    @property
    def session(self) -> ClientSession:
        """Where its transaction stands."""
        if self._shares_with is None:
            return self._session
        return self.peer.session if self.peer is not None else self._session

    @property
    def transaction(self) -> TestTransaction | None:
        """The test transaction that it has joined."""
        if self._shares_with is None:
            return self._transaction
        return self.peer.transaction if self.peer is not None else self._transaction

    # -- one unit of messages -----------------------------------------------------------------

    def handle(self, unit: Unit) -> None:
        """Answer the messages of *unit*."""
        kind, body = unit[-1]
        send = self.client.connection.send
        if self.copy is not None:
            self.copy.take(unit)
            return
        if kind in (b"Q", b"F") and self.extended.skips:
            return  # up to its next Sync the client is not listened to
        if kind == b"Q":
            if self.ordinary.take(body):
                return
            if _PING.fullmatch(body) and self._is_idle():
                send(_ONE)
            else:
                self.simple.take(messages.string(body)[0].decode("utf-8", "surrogateescape"))
        elif kind == b"F":
            self._function_call(body)
        elif kind in (b"S", b"H"):
            self.extended.take(unit)
            return
        elif kind in (b"d", b"c", b"f"):
            return  # what is left of a COPY that failed (manual, 53.2.6)
        if self.copy is None:
            self.ready()

    def resume(self) -> None:
        """Go on with a text whose statement had to wait.

        Raises:
            Waiting: it has to wait again.
        """
        self.simple.go_on()
        if self.copy is None:
            self.ready()

    def limits(self) -> tuple[float, str, str] | None:
        """Return how long the client may wait for a lock: seconds, SQLSTATE, the parameter's name.

        None if it may wait for ever.
        """
        (row,) = self.execution.evaluate(
            "extract(epoch from current_setting('lock_timeout')::interval), "
            "extract(epoch from current_setting('statement_timeout')::interval)"
        )
        lock, statement = (float(each or 0) for each in row)
        found = [(lock, "55P03", "lock"), (statement, "57014", "statement")]
        return min((each for each in found if each[0] > 0), default=None)

    def stop_waiting(self, response: bytes, unit: Unit) -> None:
        """Fail the statement that waits; *unit* is what is left of its messages, if it has any."""
        self.record_wait_failed()
        if self.copy is not None:
            self.copy.cancel(response)
            return
        if unit and unit[-1][0] in (b"S", b"H"):
            self.extended.fail(response)
            self.extended.take(unit)
            return
        self.simple.forget()
        self.failed(response)
        self.end_of_unit()
        self.ready()

    @property
    def can_fail_at_once(self) -> bool:
        """Whether what the client has sent last can fail without a question to the server."""
        session = self.session
        is_between = session.is_explicit or not session.in_transaction
        is_listening = self.copy is None and not self.extended.skips
        return is_between and is_listening and not self.is_cut and self.peer is None

    def cancel_unserved(self, response: bytes, unit: Unit) -> None:
        """Fail *unit*, which has not had its turn, where it `can_fail_at_once`."""
        self.tell_error(response)
        self.session.has_failed = self.session.is_explicit
        if unit[-1][0] == b"H":
            self.extended.skip_to_sync()
        else:
            self.client.connection.send(messages.ready(self.status))

    def record_wait_failed(self) -> None:
        """Nothing is awaited any more."""
        self.database.advisory.waiting.pop(self, None)

    def ready(self) -> None:
        """Say that the next query may come."""
        self.notifications.deliver()
        if self.has_reports and self.transaction is not None:
            self._report(self.transaction)
        self.client.connection.send(messages.ready(self.status))

    @property
    def has_reports(self) -> bool:
        """Whether the client may have to hear of parameters that have changed."""
        server, transaction = self.database.server, self.transaction
        return (
            transaction is not None
            and server is not None
            and not transaction.is_finished
            and (server.reports != self._reports or transaction.settings.are_touched)
        )

    @property
    def is_calm(self) -> bool:
        """Whether an ordinary statement needs nothing of what belongs to sessions."""
        database = self.database
        return (
            self.is_set_up
            and self._shares_with is None
            and not (self.execution.may_have_notified or self.objects.set_next)
            and not (database.listeners or database.temporary.are_any)
            and (database.own is None or not database.own.are_any)
        )

    def _report(self, transaction: TestTransaction) -> None:
        """Tell the client which of its parameters have changed, as ReadyForQuery comes next."""
        settings, server = transaction.settings, transaction.server
        has_changed = settings.take_change(self.session)
        if server.is_lost or transaction.is_frozen:
            return
        if not settings.is_in_force(self.session):
            if not has_changed:
                return  # what the server has reported is somebody else's
            settings.put_in_force(self.session)
            server.flush()
        for name, value in server.reported.items():
            own = settings.value(self.session, name) if name == "application_name" else value
            if own is not None and self.told.get(name) != own:
                self.told[name] = own
                self.client.connection.send(messages.parameter(name, own))
        self._reports = server.reports

    @property
    def is_left_open(self) -> bool:
        """Whether its transaction was open when its test ended."""
        is_over = self.transaction is not None and self.transaction.is_finished
        return is_over and self.session.is_explicit and not self.is_cut

    @property
    def status(self) -> bytes:
        """Where the client's own transaction stands."""
        if self.session.has_failed:
            return FAILED
        return IN_TRANSACTION if self.session.is_explicit else IDLE

    def _is_idle(self) -> bool:
        server = self.database.server
        is_idle = not self.session.in_transaction and not self.is_cut
        return is_idle and server is not None and self.database.is_requested and not server.is_cut()

    @property
    def has_escapes(self) -> bool:
        """Whether the client's strings have escapes without saying so."""
        return self.told.get("standard_conforming_strings") == "off"

    def response_to(self, failed: StatementFailed | ServerError) -> bytes:
        """Return what to tell the client; the transaction on the server is usable again."""
        if isinstance(failed, StatementFailed):
            return failed.response
        transaction = self.current()
        if transaction.server.has_failed:
            transaction.fail(self.session, Statement("", Kind.WRITE))
        return messages.message(b"E", failed.body)

    # -- the running test's transaction -------------------------------------------------------

    def current(self) -> TestTransaction:
        """Return the running test's transaction, which this client has joined.

        Raises:
            StatementFailed: no test is running that asked for the database; or the client's own
                transaction began in a test that is over.
        """
        if self._shares_with is not None and self.peer is not None:
            return self.peer.current()
        found = self._transaction
        if found is not None and not found.is_finished and not found.is_frozen:
            return found
        if self.is_cut and found is not None:
            raise self.came_late(found.test)
        if self.held_since:
            test, self.held_since = self.held_since, ""
            raise self.came_late(test)
        try:
            self._join(self.database.transaction_for(self))
        except PgSandboxError as error:
            raise StatementFailed(refusals.as_message(error)) from error
        assert self.transaction is not None
        return self.transaction

    def came_late(self, test: str) -> StatementFailed:
        """Return what is said to a client that goes on in what *test* began, which is over."""
        self.database.came_late(self.label, test)
        return StatementFailed(refusals.as_message(refusals.cut(self.label, test)))

    def _join(self, transaction: TestTransaction) -> None:
        before = self.session
        if self.transaction is not None and self.transaction.is_frozen:
            self.standing.append((self.transaction, before))
        while self.standing and self.standing[-1][0].is_finished:
            self.standing.pop()
        self._transaction = transaction
        if self.standing and self.standing[-1][0] is transaction:  # its fixture is torn down
            self._session = self.standing.pop()[1]
            return
        self._session = transaction.join(self.label, is_arranging=self.is_arranging)
        self.session.token = self.client.token
        if self.standing:
            beneath, origin = self.standing[-1]
            self.session.take_over(origin)
            transaction.settings.inherit(self.session, beneath.settings, origin)
        else:
            self.session.take_over(before)
            transaction.settings.adopt(self.session, self.baseline, self.defaults)
        self.session.on_end = self._transaction_ended

    def _transaction_ended(self, is_commit: bool) -> None:
        self.extended.transaction_ended()
        self.objects.transaction_ended(is_commit=is_commit)
        self.database.advisory.transaction_ended(self)
        if is_commit:
            if self.database.routines.are_replaced and self.transaction is not None:
                self.notifications.gather(self.transaction.server)  # of deferred triggers
            self.notifications.committed()
        else:
            self.notifications.forget()

    # -- transactions -------------------------------------------------------------------------

    def failed(self, response: bytes) -> None:
        """Tell the client that a statement failed, and let its transaction have failed."""
        self.simple.forget()
        self.tell_error(response)
        if self.session.is_explicit:
            self.session.has_failed = True
        else:
            self.rollback_quietly()

    def tell_error(self, response: bytes) -> None:
        """Send an ErrorResponse at once, as the server does: drivers may tell the difference."""
        self.client.connection.send(response)
        self.client.connection.flush()

    def end_of_unit(self) -> None:
        """Commit what is in no transaction block."""
        session = self.session
        if session.in_transaction and not session.is_explicit:
            try:
                self.control.commit()
            except (StatementFailed, ServerError) as failed:
                self.tell_error(self.response_to(failed))
        elif not session.in_transaction:
            self.notifications.committed()

    def rollback_quietly(self) -> None:
        """Undo what is in no transaction block."""
        if self.transaction is not None and not self.transaction.is_finished:
            # What is wrong is among the violations.
            with contextlib.suppress(PgSandboxError, ServerError):
                self.transaction.rollback(self.session)
        self.session.ended()

    def _function_call(self, body: bytes) -> None:
        """Run a FunctionCall, by which libpq reaches large objects."""
        try:
            if self.session.has_failed:
                raise aborted()
            statement = Statement("call of a large object's function", Kind.WRITE)
            self.execution.run(statement, messages.message(b"F", body), is_recorded=False)
        except (StatementFailed, ServerError) as failed:
            self.failed(self.response_to(failed))
        self.end_of_unit()

    # -- its end ------------------------------------------------------------------------------

    def test_finished(self, *, has_written: bool) -> None:
        """The running test is over: what was not committed is undone, what was set is reset."""
        self.simple.forget()
        if self.copy is not None:
            self.copy.end_with_test()
        session = self.session
        if session.in_transaction and not session.is_explicit:
            session.ended()
        session.savepoints.clear()
        # The test process says of its own connections which ones other threads are at work in.
        self.is_cut = session.is_explicit and self.client.is_strange and has_written
        self.notifications.forget()
        self.objects.forget()

    def set_up_done(self) -> None:
        """Its engine is about to hand it out for the first time."""
        if self.is_set_up:
            return
        own = self.transaction
        if own is not None and not own.is_finished:
            self.baseline.update(own.settings.of(self.session))
            if self._shares_with is not None:
                own.close(self.session)
        self.is_set_up = True

    def close(self) -> None:
        """The client is gone: what it has not committed is undone, what it held is given back."""
        self.database.listeners.discard(self)
        if self.peer is not None:
            return
        for other in self.database.backends:
            if other._shares_with is self:
                other._shares_with = None
        transaction = self.transaction
        if transaction is not None and not transaction.is_finished:
            if not transaction.is_frozen:
                transaction.close(self.session)
            self.database.advisory.release_all(self)
            self.objects.close()
        self.prepared.forget_statements()
