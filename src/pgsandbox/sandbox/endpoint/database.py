"""The test database behind the endpoint: the session that holds its tests, and the running test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError, SandboxLost
from pgsandbox.sandbox.endpoint import refusals
from pgsandbox.sandbox.endpoint.advisory import AdvisoryLocks
from pgsandbox.sandbox.endpoint.authentication import NotAuthenticatedError
from pgsandbox.sandbox.endpoint.clock import StandingClock
from pgsandbox.sandbox.endpoint.constraints import Constraints
from pgsandbox.sandbox.endpoint.functions import OwnFunctions
from pgsandbox.sandbox.endpoint.leaks import LeakDetector
from pgsandbox.sandbox.endpoint.objects import TemporaryTables
from pgsandbox.sandbox.endpoint.observation import Observation
from pgsandbox.sandbox.endpoint.prepared import Prepared
from pgsandbox.sandbox.endpoint.routines import NotifyingRoutines
from pgsandbox.sandbox.endpoint.sequence_values import SequenceValues
from pgsandbox.sandbox.endpoint.sequences import Sequences
from pgsandbox.sandbox.endpoint.server import ServerConnection, ServerError, ServerLost, Wait
from pgsandbox.sandbox.endpoint.sessions import Executed, Late
from pgsandbox.sandbox.endpoint.transaction import TestTransaction

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend


_FAILURES = (OSError, ServerError, ServerLost, NotAuthenticatedError)
"""What a server does that is gone, or that restarts after a crash, to who asks it for something."""
_MOST_LATE = 100
"""How many refusals of those whose test is over are kept until somebody asks for them."""


class TestDatabaseSession:
    """One test database: its session on the server, and the transaction of the running test."""

    __test__ = False

    def __init__(self, wait: Wait) -> None:  # noqa: PLR0915  # one fact a line
        self.server: ServerConnection | None = None
        self.parameters: dict[str, str] = {}
        self.reported: dict[str, str] = {}
        """The server's parameters as it reported them when no client had set any."""
        self.running = "no test is running"
        """The running test's node id, or what a message says of the present moment."""
        self.is_requested = False
        """Whether the running test asked for the database."""
        self.looks_for_uncommitted = True
        """Whether the running test fails for what its application does not commit."""
        self.backends: list[Backend] = []
        """The sessions of all clients."""
        self.transaction: TestTransaction | None = None
        """The running test's; None until its first statement."""
        self.standing: list[TestTransaction] = []
        """What fixtures of wider scopes have made, each a savepoint in the one before."""
        self.aside: TestTransaction | None = None
        """The running test's, while a wider fixture is set up that may go beneath."""
        self.held: dict[bytes, Prepared] = {}
        """The prepared statements that the server has, by name."""
        self.cursors: dict[str, Backend] = {}
        """Who has the cursors that the server has, by name."""
        self.known_texts: set[str] = set()
        """Texts of several statements that the server has read and found right."""
        self.late: list[Late] = []
        """Who was refused because its test was over."""
        self.temporary = TemporaryTables()
        self.advisory = AdvisoryLocks()
        self.listeners: set[Backend] = set()
        """Those that may listen to a channel."""
        self.routines = NotifyingRoutines()
        self.sequence_values = SequenceValues()
        self._was_cancelled = False
        self._is_in_teardown = False
        """Whether the running test's body is over."""
        self.has_lost_data = False
        """Whether what stood is gone, because its transaction ended."""
        self.has_told_loss = False
        """Whether the running test was told that it has no session."""
        self.is_in_doubt = False
        """Whether a test may have changed the database for real: it must be made anew."""
        self.limit = 15.0
        """Seconds that the end of a test may wait for the server's answers, all together."""
        self._wait = wait
        self._faults: list[PgSandboxError] = []
        """What went wrong in the endpoint itself, which the running test's report is to tell."""
        self._refusal: PgSandboxError | None = None
        """Why the wider fixture that is set up may not open the database."""
        self._sent: list[Executed] = []
        """What the running test sent before a wider fixture went beneath it."""
        self._constraints: Constraints | None = None
        self._detector: LeakDetector | None = None
        self._restarts_sequences = False
        self._sequences: Sequences | None = None
        self.observation: Observation | None = None
        """What tests do to the schema, if its coverage is measured."""
        self.observes = False
        self.clock = StandingClock()
        """Where ``now()`` comes from."""
        self.functions = OwnFunctions()

    # -- its session on the server ------------------------------------------------------------

    def open(self, parameters: Mapping[str, str], *, restarts_sequences: bool) -> None:
        """Connect to the server, and remember the database as it is now, before any test.

        Raises:
            OSError, ServerError, ServerLost, NotAuthenticatedError: there is no session to be had.
        """
        self.parameters = dict(parameters)
        self._restarts_sequences = restarts_sequences
        self.reported = dict(self._connect().reported)

    def _connect(self) -> ServerConnection:
        self.server = server = ServerConnection(self.parameters, self._wait)
        self.held.clear()
        if self._detector is None:
            self._detector = LeakDetector(server)
            self._sequences = Sequences(server) if self._restarts_sequences else None
            self.functions = OwnFunctions(server)
            self.observation = Observation(server) if self.observes else None
        else:
            self._detector.expect_session()
        return server

    def _usable(self) -> ServerConnection:
        if self.server is None or self.server.is_cut() or self.server.status != b"I":
            if self.server is not None:
                self.server.close()
            return self._connect()
        return self.server

    def close(self) -> None:
        """Close the session, so that the database can be copied or dropped."""
        if self.server is not None:
            self.server.close()
        self.server = None
        self._lose()
        self._constraints = self._detector = self._sequences = None
        self.functions = OwnFunctions()
        self.is_in_doubt = False
        self.held.clear()

    # -- the running test ---------------------------------------------------------------------

    def enter(self, test: str) -> None:
        """From now on statements belong to *test*, which asked for the database."""
        self._was_cancelled = self.has_told_loss = False
        self.say(test, is_requested=True)

    def say(self, running: str, *, is_requested: bool) -> None:
        """From now on statements belong to *running*, and are refused unless *is_requested*."""
        self.running, self.is_requested = running, is_requested
        self._is_in_teardown = False

    def transaction_for(self, backend: Backend) -> TestTransaction:
        """Return the running test's transaction, begun at the test's first statement.

        Raises:
            PgSandboxError: no test is running that asked for the database, or there is no session.
        """
        if not self.is_requested:
            if backend.transaction is not None:
                self.came_late(backend.label, backend.transaction.test)
            raise refusals.no_test_is_running(backend.label)
        if self.transaction is None:
            try:
                self._go_beneath(self.running)
                self.transaction = self._begun(self.running)
            except _FAILURES as error:
                self.has_told_loss = True
                raise refusals.lost(self.running, error) from error
        return self.transaction

    def _begun(self, test: str) -> TestTransaction:
        beneath = self.standing[-1] if self.standing else None
        server = beneath.server if beneath else self._usable()
        constraints = beneath.stack.constraints if beneath else self._constraints
        if beneath is None and self._sequences is not None:
            self._sequences.restart(server)
        transaction = TestTransaction(
            server, test, constraints=constraints, detector=self._detector, beneath=beneath
        )
        transaction.clock = self.clock
        self.clock.begun()
        if self._is_in_teardown:
            transaction.begin_teardown()
        transaction.observation = self.observation or transaction.observation
        if beneath is None:
            self._constraints = transaction.constraints
        if self.aside is None:
            transaction.ledger.executed, self._sent = self._sent, []
        return transaction

    def came_late(self, label: str, test: str) -> None:
        """Remember that a client was refused, since what it went on with ended with *test*."""
        if len(self.late) < _MOST_LATE:
            running = self.running if self.is_requested else "no test is running"
            self.late.append(Late(label, test, running))

    def take_late(self) -> list[Late]:
        """Return who was refused since this was asked last because its test was over."""
        late, self.late = self.late, []
        return late

    def executed(self) -> list[Executed]:
        """Return the statements that the running test sent so far, oldest first."""
        return self.transaction.ledger.executed if self.transaction is not None else []

    def unseen(self, sessions: int, *, by_a_child: bool) -> str | None:
        """Return what to tell of a failing test if others have opened its database meanwhile."""
        if self._detector is None or self.transaction is None:
            return None
        return self._detector.unseen(sessions, by_a_child=by_a_child)

    def sessions_query(self) -> str | None:
        """Return what to ask the server, on any connection, for `unseen`."""
        return self._detector.sessions_now() if self._detector is not None else None

    def expect_session(self) -> None:
        """Count a session on this database that pgsandbox itself is about to open."""
        if self._detector is not None:
            self._detector.expect_session()

    # -- fixtures of wider scopes -------------------------------------------------------------

    def _go_beneath(self, fixture: str) -> None:
        """Let *fixture*, of a wider scope, begin beneath the running test, which has not written.

        Raises:
            FixtureTooLate: it has.
        """
        if self._refusal is not None:
            raise self._refusal
        aside = self.aside
        if aside is None or aside.is_finished:
            return
        if aside.has_written():
            raise refusals.too_late(fixture, aside.test, aside.ledger.executed)
        self._sent = aside.ledger.executed
        aside.finish()

    def set_aside(self, refusal: PgSandboxError | None) -> None:
        """Let a fixture of a wider scope begin a transaction, or else hear *refusal*."""
        self._refusal = refusal
        if self.transaction is not None:
            self.aside, self.transaction = self.transaction, None
            self.aside.is_frozen = True

    def take_back(self) -> None:
        """Let the running test go on."""
        aside, self.aside, self._refusal = self.aside, None, None
        self._end_of_nobody()
        if aside is not None and not aside.is_finished:
            self.transaction, aside.is_frozen = aside, False

    def _end_of_nobody(self) -> None:
        """Undo what a thread that nobody has joined began since the last test or fixture ended."""
        transaction, self.transaction = self.transaction, None
        if transaction is None:
            return
        written = [
            each
            for each in self.backends
            if each.transaction is transaction and each.session in transaction.ledger.writers
        ]
        self._end(transaction)
        for backend in written:  # who has only read may go on in what comes next
            backend.is_cut = backend.session.is_explicit

    def settle(self) -> list[PgSandboxError]:
        """Let what the fixture has made so far stand; return what contradicts it."""
        return self.transaction.settle() if self.transaction is not None else []

    def freeze(self) -> bool:
        """Let stand what a wider fixture has made; return False if it has made nothing."""
        transaction = self.transaction
        if transaction is None or not transaction.has_written():
            return False
        transaction.settle()  # what other threads have done since
        transaction.is_frozen, self.transaction = True, None
        self.standing.append(transaction)
        self.advisory.freeze()
        if self._detector is not None:
            self._detector.remember_locks(transaction.server)
        return True

    def resume(self, depth: int) -> None:
        """Go on in what the fixture at *depth* has made, on which nothing stands any more."""
        if self.standing and len(self.standing) == depth:
            self._end_of_nobody()
            transaction = self.standing.pop()
            self.advisory.resume()
            transaction.is_frozen = False
            transaction.begin_teardown()
            self.transaction = transaction
        if self._detector is not None and not self.standing:
            self._detector.remember_locks(None)

    def _lose(self) -> None:
        for transaction in self.standing:
            transaction.is_finished, transaction.is_frozen = True, False
        self.has_lost_data = self.has_lost_data or bool(self.standing)
        self.standing.clear()
        self.advisory.lose()

    # -- the end ------------------------------------------------------------------------------

    def begin_teardown(self) -> None:
        """The test's body is over: what its fixtures' teardown rolls back, nobody looks at."""
        self._is_in_teardown = True
        if self.transaction is not None:
            self.transaction.begin_teardown()

    def broke_down(self, error: Exception) -> PgSandboxError:
        """Give the test up after a fault of ours: nobody knows what the server said last."""
        found = refusals.broke_down(error, self.running)
        self._faults.append(found)
        if self.server is not None:
            self.server.close()
        return found

    def cancelled(self) -> None:
        """A statement that still runs at the end of its test is about to be cancelled."""
        if self.transaction is not None and not self._was_cancelled:
            self._was_cancelled = True
            executed = self.transaction.ledger.executed
            text = executed[-1].text if executed else None
            self.transaction.violations.append(refusals.still_running(text, self.running))

    def terminate(self, server: ServerConnection) -> None:
        """End the session of *server*, whose statement catches that it is cancelled."""
        with contextlib.suppress(*_FAILURES), self._outside() as observer:
            observer.rows(f"SELECT pg_terminate_backend({server.pid})")

    def check(self) -> list[PgSandboxError]:
        """Return what must make the test fail as it stands, at the end of its body."""
        if self.transaction is None or self.server is None:
            return []
        with self._bounded(self.server):
            return self.transaction.check()

    def finish(
        self, test: str, *, by_a_child: bool, is_over: bool, has_written: bool = True
    ) -> list[PgSandboxError]:
        """Roll *test* back, and return what must make it fail.

        A test that sent nothing is looked at, too: something may have connected past the endpoint.
        """
        transaction, self.transaction = self.transaction, None
        self._sent, self._is_in_teardown = [], False
        if is_over:
            self.is_requested = False
        server = self.server
        errors, self._faults = self._faults, []
        if server is None:
            return errors
        try:
            with self._bounded(server):
                if transaction is None:
                    errors += self._look_without_transaction(server, test, by_a_child=by_a_child)
                else:
                    errors += self._end(transaction, has_written=has_written)
                    errors += self._escaped(transaction, test, by_a_child=by_a_child)
        except ServerLost:
            if transaction is not None:
                errors.append(refusals.lost(test))
        except _FAILURES as error:
            errors.append(refusals.lost(test, error))
            server.close()
        told = any(isinstance(each, SandboxLost) for each in errors)
        self.has_told_loss = self.has_told_loss or told
        return errors

    @property
    def is_lost(self) -> bool:
        """Whether its session on the server is gone, as far as that was noticed."""
        return self.server is None or self.server.is_lost

    def _end(
        self, transaction: TestTransaction, *, has_written: bool = True
    ) -> list[PgSandboxError]:
        self.advisory.end_transactions()
        errors = transaction.finish()
        self.clock.forget()
        server = transaction.server
        if transaction.definitions or server.is_lost:
            self.held.clear()
        self.functions.test_finished()
        self.cursors.clear()
        self.temporary.forget()
        self.advisory.forget()
        self.sequence_values.forget()
        self.routines = NotifyingRoutines()
        for backend in self.backends:
            if backend.transaction is transaction:
                backend.test_finished(has_written=has_written)
        if self.standing and (server.is_lost or not server.is_in_transaction):
            self._lose()
        if server.is_lost:
            self.server = None
        self.is_in_doubt = self.is_in_doubt or transaction.may_have_escaped
        return errors

    def _escaped(
        self, transaction: TestTransaction, test: str, *, by_a_child: bool
    ) -> list[PgSandboxError]:
        if transaction.server.is_lost or transaction.final_answer is None:
            return []
        thoroughly = transaction.may_have_escaped
        found = self._look(
            transaction.server,
            transaction.final_answer,
            test,
            thoroughly=thoroughly,
            by_a_child=by_a_child,
        )
        # What a broken transaction committed is named already, by the statement that broke it.
        return [] if thoroughly else found

    def _look_without_transaction(
        self, server: ServerConnection, test: str, *, by_a_child: bool
    ) -> list[PgSandboxError]:
        wanted = b"T" if self.standing else b"I"
        if self._detector is None or server.is_cut() or server.status != wanted:
            return []
        question = self._detector.question(may_hold_locks=False)
        if self.standing:
            question = f"SELECT pg_stat_clear_snapshot(); {question}"
        answer = server.rows(question)[0]
        return self._look(server, answer, test, thoroughly=False, by_a_child=by_a_child)

    def _look(
        self,
        server: ServerConnection,
        answer: tuple[str | None, ...],
        test: str,
        *,
        thoroughly: bool,
        by_a_child: bool,
    ) -> list[PgSandboxError]:
        if self._detector is None:
            return []
        outside = self._outside() if self.standing else contextlib.nullcontext(server)
        escaped = self._detector.look(
            server, answer, test, thoroughly=thoroughly, by_a_child=by_a_child, outside=outside
        )
        self.is_in_doubt = self.is_in_doubt or bool(escaped)
        return list(escaped)

    @contextlib.contextmanager
    def _outside(self) -> Iterator[ServerConnection]:
        """A session that sees nothing of what stands."""
        self.expect_session()
        observer = ServerConnection(self.parameters)
        try:
            yield observer
        finally:
            observer.close()

    @contextlib.contextmanager
    def _bounded(self, server: ServerConnection) -> Iterator[None]:
        """Give the connection up if the server does not answer in time."""
        server.deadline = time.monotonic() + self.limit
        try:
            yield
        except ServerLost:
            self.server = None
            self._lose()
            raise
        finally:
            server.deadline = None
