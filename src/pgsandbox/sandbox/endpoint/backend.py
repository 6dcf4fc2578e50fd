"""What a client finds behind its connection: a session of its own, as a server's backend gives one.

It has joined the transaction of the running test, or shares that of another client, and has all
that PostgreSQL keeps for one session: in parts of its own, that answer the client's messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.endpoint import refusals
from pgsandbox.sandbox.endpoint.control import TransactionControl
from pgsandbox.sandbox.endpoint.copying import CopyIn
from pgsandbox.sandbox.endpoint.execution import Execution
from pgsandbox.sandbox.endpoint.extended import ExtendedQueries
from pgsandbox.sandbox.endpoint.failures import StatementFailed
from pgsandbox.sandbox.endpoint.message_flow import MessageFlow
from pgsandbox.sandbox.endpoint.notifications import Notifications
from pgsandbox.sandbox.endpoint.objects import SessionObjects
from pgsandbox.sandbox.endpoint.ordinary import OrdinaryStatements
from pgsandbox.sandbox.endpoint.prepared import PreparedStatements
from pgsandbox.sandbox.endpoint.session_statements import SessionStatements
from pgsandbox.sandbox.endpoint.sessions import ClientSession
from pgsandbox.sandbox.endpoint.simple import SimpleQueries
from pgsandbox.sandbox.endpoint.telling import OwnState
from pgsandbox.sandbox.endpoint.transaction import TestTransaction

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.client import Client
    from pgsandbox.sandbox.endpoint.database import TestDatabaseSession


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
        self.flow = MessageFlow(self)
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

    @property
    def is_calm(self) -> bool:
        """Whether an ordinary statement needs nothing of what belongs to sessions."""
        database = self.database
        return (
            self.is_set_up
            and self._shares_with is None
            and not (self.execution.may_have_notified or self.objects.set_next)
            and not (database.listeners or database.temporary.are_any)
            and not database.functions.own.are_any
        )

    @property
    def is_left_open(self) -> bool:
        """Whether its transaction was open when its test ended."""
        is_over = self.transaction is not None and self.transaction.is_finished
        return is_over and self.session.is_explicit and not self.is_cut

    # -- from its beginning to its end --------------------------------------------------------

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
