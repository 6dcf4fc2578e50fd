"""The transaction that holds one test, shared by every client that the test's code connects."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

from pgsandbox.errors import PgSandboxError, SandboxLost, TransactionsInterleaved
from pgsandbox.sandbox.endpoint import refusals
from pgsandbox.sandbox.endpoint.clock import StandingClock
from pgsandbox.sandbox.endpoint.constraints import ConstraintModes, Constraints, constraints_of
from pgsandbox.sandbox.endpoint.dirty_reads import DirtyReads
from pgsandbox.sandbox.endpoint.leaks import LeakDetector
from pgsandbox.sandbox.endpoint.ledger import Held, Ledger
from pgsandbox.sandbox.endpoint.modes import give_modes, set_default_modes, set_modes
from pgsandbox.sandbox.endpoint.observation import Unobserved
from pgsandbox.sandbox.endpoint.outer import IDS, OuterTransaction
from pgsandbox.sandbox.endpoint.savepoints import SavepointStack
from pgsandbox.sandbox.endpoint.server import (
    Forward,
    Outcome,
    ServerConnection,
    ServerError,
    ServerLost,
)
from pgsandbox.sandbox.endpoint.sessions import (
    DEFAULT_MODES,
    Ask,
    ClientSession,
    Run,
    Steps,
)
from pgsandbox.sandbox.endpoint.settings import SessionSettings, Setting
from pgsandbox.sandbox.endpoint.statements import Statement


class TestTransaction:
    """The transaction that holds one test, and what its clients did in it.

    Every statement of every client passes through `perform`, one at a time; commit and rollback
    pass through `commit` and `rollback`. The transaction on the server is begun here, rolled back
    in `finish`, and ended by nothing else.
    """

    __test__ = False  # pytest would take it for a class of tests

    def __init__(
        self,
        server: ServerConnection,
        test: str,
        *,
        constraints: Constraints | None = None,
        detector: LeakDetector | None = None,
        beneath: TestTransaction | None = None,
    ) -> None:
        self.server = server
        self.test = test
        self.ledger = Ledger()
        self.dirty_reads = DirtyReads(self)
        self.violations: list[PgSandboxError] = []
        self.is_finished = False
        self.is_frozen = False
        """Whether it is a wider fixture's, on which others stand now."""
        self.may_have_escaped = False
        """Whether something may have been committed for real, so that the database is in doubt."""
        self.final_answer: tuple[str | None, ...] | None = None
        """The answer to a question that was asked right after the rollback; None if it failed."""
        self.definitions = 0
        """How many statements may have created, changed or dropped something that has a name."""
        self.undone = 0
        """How often the server went back to a savepoint."""
        self._sessions: list[ClientSession] = []
        self._numbers = itertools.count(1)
        self._broken: PgSandboxError | None = None
        self._is_checked = False
        self._are_constraints_stale = False
        self._constraint_modes = ConstraintModes(server)
        self.observation = Unobserved()
        """What is remembered of the test for the coverage of the schema."""
        self.clock = StandingClock()
        self._detector = detector
        self._may_hold_locks = False
        """Whether a statement may have taken a lock that outlives a rollback."""
        self._outer: OuterTransaction = OuterTransaction(beneath._outer.depth + 1 if beneath else 0)
        server.queue(self._outer.begin)
        self.constraints = constraints or constraints_of(server)
        self.stack = SavepointStack(self.constraints, places_below=self._outer.places)
        self.settings: SessionSettings = SessionSettings(
            server, beneath.settings if beneath else None
        )

    def begin_teardown(self) -> None:
        """The test's body is over: nobody looks at what a rollback leaves until all is undone."""
        self.stack.is_in_teardown = True

    def join(self, label: str, *, is_arranging: bool) -> ClientSession:
        """Return the state of one more client of this test."""
        label = f"{label} (connection {next(self._numbers)})"
        self._sessions.append(made := ClientSession(label, is_arranging))
        return made

    # -- what the code under test does --------------------------------------------------------

    def perform(
        self,
        session: ClientSession,
        statement: Statement,
        send: Callable[[], Outcome],
        *,
        hidden: tuple[Setting, ...] = (),
    ) -> Outcome:
        """Let *session* send one statement, and return what came of it.

        *hidden* are parameters that the statement sets although its text does not show it.

        Raises:
            SandboxError: the test transaction can't hold what was asked, or is gone.
        """
        self.check_usable()
        # What parses a statement again may be refused, and so is sent with it, not before.
        again = self.server.take_messages()
        if not session.in_transaction:
            self.take_default_modes(session)
        try:
            self._drive(self.stack.begin_statement(session, statement))
            self.settings.prepare(session, statement.sets, hidden)
            self.clock.put(self.server, session, self.undone)
            if session.constraint_modes or self._constraint_modes.in_force != ():
                self._constraint_modes.put_in_force(session, self.stack.constraints)
        except ServerError as error:  # what the server said to us is for the client, then
            self.fail(session, statement)
            self.server.queue_messages(again)
            return Outcome(error=error.body)
        self._may_hold_locks = (
            self._may_hold_locks or statement.names_advisory_locks or statement.may_define
        )
        end_of_mode = give_modes(self.server, session, statement.text)
        if statement.takes_snapshot:
            session.has_queried = True
        outcome = self.observation.performing(
            self.server, session, statement, lambda: self._sent(send, again)
        )
        if outcome.copy_in is not None:
            outcome.end_of_mode = end_of_mode
            return outcome
        if outcome.error is None:
            if end_of_mode:
                self.server.queue(end_of_mode)
            self._succeed(session, statement, hidden)
        else:
            self.fail(session, statement)
        return outcome

    def is_calm(self, session: ClientSession) -> bool:
        """Whether an ordinary statement of *session* needs nothing but a savepoint to be held."""
        return (
            session.is_explicit
            and not (session.has_failed or session.constraint_modes)
            and session.modes == DEFAULT_MODES
            and not (self.is_finished or self.is_frozen or self._broken is not None)
            and not (self._constraint_modes.in_force != () or self._are_constraints_stale)
            and not (self.clock.moves or self.observation.looks)
            and not self.server.placeholders
            and self.settings.is_in_force(session)
        )

    def converse(self, session: ClientSession, request: bytes, forward: Forward) -> Outcome:
        """Send *request*, an ordinary statement in a calm moment; forward what answers it.

        Raises:
            SandboxLost: the connection to the server is gone.
        """
        session.has_queried = True
        return self._sent(lambda: self.server.converse(request, forward))

    def take_default_modes(self, session: ClientSession) -> None:
        """Give the transaction that begins what *session* has set for each of its own."""
        session.has_queried = False
        self.clock.begin(session)
        if self.settings.are_touched:
            set_default_modes(session, self.settings)

    def _sent(self, send: Callable[[], Outcome], again: bytes = b"") -> Outcome:
        self.server.queue_messages(again)
        try:
            return send()
        except ServerError as error:
            return Outcome(error=error.body)
        except ServerLost:
            raise self._lost() from None

    def _succeed(
        self, session: ClientSession, statement: Statement, hidden: tuple[Setting, ...]
    ) -> None:
        self.succeeded(session, statement)
        if statement.sets_constraints:
            self._constraint_modes.learn(session, statement.text)
        if statement.may_define:
            self._are_constraints_stale = True
            self.definitions += 1
        self.settings.learn(session, statement.sets, hidden)

    def succeeded(self, session: ClientSession, statement: Statement) -> None:
        """Remember what *statement*, which succeeded, leaves to undo.

        Raises:
            SandboxError: it has ended the transaction on the server.
        """
        if not self.server.is_in_transaction:
            raise self._outer_ended(statement)
        is_clear = (
            self._detector is not None
            and not self._detector.has_functions
            and not self.definitions
            and not statement.writes_in_catalog_functions
        )
        self.stack.statement_succeeded(session, statement, is_clear=is_clear)

    def fail(self, session: ClientSession, statement: Statement) -> None:
        """After *statement* failed: everybody else goes on, *session* can only roll back."""
        if self.server.is_lost:
            raise self._lost()
        if self.server.status == b"I":
            raise self._outer_ended(statement)
        self._drive(self.stack.statement_failed(session))

    def begin(self, session: ClientSession, text: str) -> None:
        """Begin a transaction block."""
        if not session.in_transaction:
            self.take_default_modes(session)
        session.in_transaction = session.is_explicit = True
        set_modes(session, text)

    def commit(self, session: ClientSession) -> None:
        """Let what *session* did since its transaction began stand for the rest of the test.

        Raises:
            ServerError: a deferred constraint is violated, so it was rolled back.
            TransactionsInterleaved: the outcome can't be expressed.
        """
        is_rollback = session.has_failed
        try:
            self._drive(self.stack.commit(session))
        except BaseException:
            is_rollback = True
            raise
        finally:
            end = self.settings.rolled_back if is_rollback else self.settings.committed
            end(session)
            self._tell_end(session, is_commit=not is_rollback)

    def rollback(self, session: ClientSession) -> None:
        """Undo what *session* did since its transaction began.

        Raises:
            TransactionsInterleaved: the outcome can't be expressed.
        """
        if self._broken is not None or self.server.is_lost:
            session.ended()
            return
        self.settings.rolled_back(session)
        try:
            self._drive(self.stack.rollback(session))
        finally:
            self._tell_end(session, is_commit=False)

    def _tell_end(self, session: ClientSession, *, is_commit: bool) -> None:
        self.ledger.ended(session, is_commit=is_commit)
        if session.on_end is not None:
            session.on_end(is_commit)

    def close(self, session: ClientSession) -> None:
        """The client is gone: undo what it has not committed."""
        if session.in_transaction and not self.is_finished:
            # What is wrong is among the violations.
            with contextlib.suppress(PgSandboxError, ServerError):
                self.rollback(session)

    def set_savepoint(self, session: ClientSession, statement: Statement) -> None:
        """Set a savepoint of the application's own."""
        self.check_usable()
        self._drive(self.stack.set_savepoint(session, statement))
        self.ledger.marked(session, statement.name)

    def release(self, session: ClientSession, statement: Statement) -> None:
        """Release a savepoint of the application's own."""
        self.check_usable()
        self._drive(self.stack.release(session, statement))
        self.ledger.released(session, statement.name)
        self.settings.released(session, to=session.depth())
        self._constraint_modes.released(session)

    def rollback_to(self, session: ClientSession, statement: Statement) -> None:
        """Go back to a savepoint of the application's own."""
        self.check_usable()
        self._drive(self.stack.rollback_to(session, statement))
        self.ledger.rolled_back(session, statement.name)
        self.settings.rolled_back(session, to=session.depth())
        self._constraint_modes.rolled_back(session)

    def held(self) -> list[Held]:
        """Return what clients of the application have written and not committed."""
        return self.ledger.held(self.server, self.stack, self._sessions)

    def open_transactions(self) -> list[str]:
        """Describe each client that is in a transaction, with its first write."""
        return [each.describe() for each in self._sessions if each.in_transaction]

    # -- a wider fixture's --------------------------------------------------------------------

    def settle(self) -> list[PgSandboxError]:
        """Let what was done so far stand, committed or not; return what contradicts it.

        Each client that was in a transaction believes that it still is.
        """
        try:
            for session in self._sessions:
                self._settle(session)
        except TransactionsInterleaved:
            pass  # it is among the violations
        except ServerError as error:
            self._violation(refusals.deferred(error.with_detail, self.test))
        if self._are_constraints_stale:
            self._read_constraints()
        return self.check()

    def _settle(self, session: ClientSession) -> None:
        if session.in_transaction:
            standing = session.standing()
            self.commit(session)
            session.take_over(standing)

    def has_written(self) -> bool:
        """Whether anything would be undone at its end; the server knows."""
        ids = int(self.server.rows(IDS)[0][0] or 0)
        return ids >= self._outer.places or self.settings.are_touched

    # -- the end ------------------------------------------------------------------------------

    def check(self) -> list[PgSandboxError]:
        """Return what must make the test fail as it stands, at the end of its body."""
        try:
            if self._broken is None and not self.server.is_lost:
                self._check_deferred()
        except (ServerLost, SandboxLost):
            pass  # `finish` tells it
        return self.violations

    def finish(self) -> list[PgSandboxError]:
        """Roll the test back and return what must make it fail; never raises."""
        self.is_finished = True
        self._finish()
        for session in self._sessions:
            session.savepoints.clear()
        return self.violations

    def _finish(self) -> None:
        try:
            if self._broken is None and not self.server.is_lost:
                self._check_deferred()
                self.observation.look(self.server)
                self._ask_finally(self._outer.end)
                return
        except Exception:  # noqa: BLE001  # whatever it was, teardown goes on and the test fails
            if self._broken is None and not self.server.is_lost:
                self._outer_ended()
        if not self.server.is_lost:
            try:
                self._ask_finally("ROLLBACK")
                return
            except Exception:  # noqa: BLE001, S110  # what follows says that it is lost
                pass
        if not any(isinstance(error, SandboxLost) for error in self.violations):
            self._violation(refusals.lost(self.test))
        self.server.close()

    def _ask_finally(self, end: str) -> None:
        """Roll back, drop what a rollback leaves, and ask the last question, in one round trip.

        What currval() says belongs to the session (PostgreSQL manual, DISCARD).
        """
        if self.definitions:
            end += "; DEALLOCATE ALL"  # they were planned for what is undone now
        end += f"; DISCARD SEQUENCES{self._outer.refresh}"
        if self._detector is None:
            self.server.execute(end)
        else:
            question = self._detector.question(may_hold_locks=self._may_hold_locks)
            self.final_answer = self.server.rows(f"{end}; {question}")[0]

    def _check_deferred(self) -> None:
        """Check the deferred constraints, once, unless an open transaction is none of the test's.

        What the application has not committed would not be checked in production either, and after
        another violation the rows are not what the test wrote.
        """
        others = any(each.in_transaction and not each.is_arranging for each in self._sessions)
        is_settled = others or self._is_checked or self.violations or self.stack.is_pending
        if is_settled or not self.stack.constraints.are_deferrable:
            return
        try:
            self._drive(self.stack.check_constraints())
        except ServerError as error:
            self._is_checked = True
            self._violation(refusals.deferred(error.with_detail, self.test))

    # -- the server ---------------------------------------------------------------------------

    @property
    def is_broken(self) -> bool:
        """Whether it was ended or cut, so that nothing can be asked of the server in it."""
        return self._broken is not None or self.server.is_lost

    def check_usable(self) -> None:
        """Return if a statement can be sent.

        Raises:
            SandboxError: the transaction was ended, or its connection cut.
        """
        if self._broken is not None:
            raise self._broken
        if self.server.is_cut():
            raise self._lost()

    def _drive(self, steps: Steps) -> None:
        """Run the SQL that *steps* yields, telling it how each went."""
        if self._are_constraints_stale and not self.server.has_failed:
            self._read_constraints()
        try:
            command = next(steps)
            while True:
                try:
                    reply = self._run(command)
                except ServerError as error:
                    self.observation.refused(error.body)
                    if error.sqlstate == "3B001":
                        raise self._outer_ended() from error
                    command = steps.throw(error)
                except ServerLost:
                    raise self._lost() from None
                else:
                    command = steps.send(reply)
        except StopIteration:
            return
        except TransactionsInterleaved as error:
            raise (error if error in self.violations else self._violation(error)) from None

    def _run(self, command: Run | Ask) -> int | None:
        if isinstance(command, Ask):
            return int(self.server.rows(command.sql)[0][0] or 0)
        if "ROLLBACK TO" in command.sql:
            self.settings.undone()
            self.undone += 1
            self._constraint_modes.undone()
            self._are_constraints_stale = self._are_constraints_stale or self.definitions > 0
        if command.may_fail:
            self.server.execute(command.sql)
            if "pgsandbox_check" in command.sql:
                self._constraint_modes.checked()
        else:
            self.server.queue(command.sql)
        return None

    def _read_constraints(self) -> None:
        self._are_constraints_stale = False
        self.stack.constraints = constraints_of(self.server)

    # -- what can't be -------------------------------------------------------------------------

    def _violation(self, error: PgSandboxError) -> PgSandboxError:
        self.violations.append(error)
        return error

    def _lost(self) -> PgSandboxError:
        self._broken = self._broken or self._violation(refusals.lost(self.test))
        return self._broken

    def _outer_ended(self, statement: Statement | None = None) -> PgSandboxError:
        self.may_have_escaped = True
        self._broken = refusals.outer_ended(statement.text if statement else None, self.test)
        return self._violation(self._broken)
