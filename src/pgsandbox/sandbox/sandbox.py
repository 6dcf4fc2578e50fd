"""One test's transaction on one database, shared by every connection that the test opens."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pgsandbox.errors import PgSandboxError, SandboxLost, TransactionsInterleaved
from pgsandbox.sandbox import patience, refusals
from pgsandbox.sandbox.borrowed import in_failed_transaction, in_read_only_transaction
from pgsandbox.sandbox.constraints import Constraints, constraints_of
from pgsandbox.sandbox.frames import Ask, Executed, LogicalConnection, Run, Steps
from pgsandbox.sandbox.outer import IDS, Outer
from pgsandbox.sandbox.parameters import Parameters
from pgsandbox.sandbox.physical import Physical, Status, sqlstate_of
from pgsandbox.sandbox.savepoints import SavepointStack
from pgsandbox.sandbox.statements import (
    CONTROL,
    Kind,
    Statement,
    classify,
    ends_a_transaction,
)
from pgsandbox.sandbox.witness import Witness
from pgsandbox.sandbox.worker import caller

T = TypeVar("T")

_LIMIT_OF_CANCELLING = 10.0


class Sandbox:
    """The transaction that holds one test, and what its connections did in it.

    Every statement of every logical connection passes through `run`, one at a time; commit and
    rollback pass through `commit` and `rollback`. The physical transaction itself is begun here,
    rolled back in `finish`, and ended by nothing else.
    """

    def __init__(
        self,
        physical: Physical,
        test: str,
        constraints: Constraints | None = None,
        witness: Witness | None = None,
        beneath: Sandbox | None = None,
    ) -> None:
        self.physical = physical
        self.test = test
        self.lock: threading.RLock = beneath.lock if beneath else threading.RLock()
        self.executed: list[Executed] = []
        self.violations: list[PgSandboxError] = []
        self.is_finished = False
        self.is_frozen = False
        """Whether it is a wider fixture's, on which others stand now."""
        self.may_have_escaped = False
        """Whether something may have been committed for real, so that the database is in doubt."""
        self._connections: list[LogicalConnection] = []
        self._numbers = itertools.count(1)
        self._abandoned: list[LogicalConnection] = []
        self._suspect: Statement | None = None
        self._broken: PgSandboxError | None = None
        self._reported: list[PgSandboxError] = []
        self._is_checked = False
        self._may_have_defined = False
        """Whether a statement may have changed which constraints there are."""
        self._pid = os.getpid()
        self.farewell: tuple[Any, ...] | None = None
        """The answer to a question that was asked right after the rollback; None if it failed."""
        self._witness = witness
        self._may_hold_locks = False
        """Whether a statement may have taken a lock that outlives a rollback."""
        self.is_winding_down = False
        """Whether the test's body is over, so that nobody looks at what a rollback leaves."""
        self._outer: Outer = Outer(beneath._outer.depth + 1 if beneath else 0)
        physical.execute(self._outer.begin)
        self.constraints = constraints or constraints_of(physical)
        self.stack = SavepointStack(self.constraints, places_below=self._outer.places)
        self.parameters: Parameters = Parameters(physical, beneath.parameters if beneath else None)

    def join(self, label: str, *, is_arranging: bool) -> LogicalConnection:
        """Return the state of one more connection of this test; takes no lock (for a loop)."""
        label = f"{label} (connection {next(self._numbers)})"
        self._connections.append(made := LogicalConnection(label, is_arranging))
        return made

    # -- what the code under test does --------------------------------------------------------

    def run(
        self,
        connection: LogicalConnection,
        text: str,
        send: Callable[[], T],
        *,
        is_recorded: bool = True,
    ) -> T | None:
        """Let *connection* send one statement, and return what *send* returns.

        What an engine sends while it sets a connection up is not recorded, and neither is a pool's
        ping: how many there are depends on how often a connection was used before.

        Transaction control never reaches the server: a savepoint becomes one of ours, and a raw
        COMMIT or ROLLBACK is refused where the driver, not the statement, began the transaction.
        """
        __tracebackhide__ = True
        statement = classify(text)
        with self.lock:
            self._check_usable()
            connection.thread = caller()
            if text == ";" or (text == "SELECT 1" and connection.is_idle):
                return send()
            if is_recorded:
                self.executed.append(Executed(text, connection.label))
            if statement.kind in CONTROL:
                return self._control(connection, statement, send)
            if statement.kind is Kind.NOT_IN_TRANSACTION:
                raise refusals.not_in_transaction(text, self.test)
            if statement.kind is Kind.SNAPSHOT:
                raise refusals.isolation_level(text.strip(), connection.label, self.test)
            if statement.kind is Kind.LISTEN:
                raise refusals.listening(text, self.test)
            if statement.kind is Kind.MODE:
                connection.set_mode(text)
                return None
            return self._send(connection, statement, send)

    @contextlib.contextmanager
    def block(self, connection: LogicalConnection, text: str) -> Iterator[None]:
        """Hold the sandbox for one statement that lasts for a ``with`` block, such as a COPY."""
        statement = classify(text)
        with self.lock:
            self._check_usable()
            connection.thread = caller()
            self.executed.append(Executed(text, connection.label))
            self._drive(self.stack.begin_statement(connection, statement))
            try:
                self.parameters.prepare(connection, text)
                yield
            except BaseException:
                self._recover(connection, statement)
                raise
            self._succeed(connection, statement)

    def commit(self, connection: LogicalConnection) -> None:
        """Let what *connection* did stand for the rest of the test."""
        __tracebackhide__ = True
        with self.lock:
            if connection.in_transaction:
                self._check_usable()
                self._commit(connection)

    def rollback(self, connection: LogicalConnection) -> None:
        """Undo what *connection* did since its last commit."""
        __tracebackhide__ = True
        with self.lock:
            if connection.in_transaction and self._broken is None and not self._is_lost():
                try:
                    self._rollback(connection)
                except PgSandboxError:
                    if not self.is_winding_down:  # otherwise `finish` tells it
                        raise

    def abandon(self, connection: LogicalConnection) -> None:
        """Roll *connection* back before the next statement; takes no lock (for ``__del__``)."""
        self._abandoned.append(connection)

    def open_transactions(self) -> list[str]:
        """Describe each connection that is in a transaction, with its first write."""
        return [each.describe() for each in self._connections if each.in_transaction]

    def mark_reported(self, error: BaseException) -> None:
        """Remember that *error*, or what caused it, has made the test fail already."""
        chain: BaseException | None = error
        while chain is not None:
            self._reported.extend(each for each in self.violations if each is chain)
            chain = chain.__cause__ or chain.__context__

    # -- a wider fixture's --------------------------------------------------------------------

    def settle(self) -> list[PgSandboxError]:
        """Let what was done so far stand, committed or not; return what contradicts it.

        Each connection that was in a transaction believes that it still is.
        """
        with self.lock:
            try:
                self._heal()
                for connection in self._connections:
                    self._settle(connection)
            except TransactionsInterleaved:
                pass  # it is among the violations
            except Exception as error:
                if not sqlstate_of(error):
                    raise
                self._violation(refusals.deferred(str(error), self.test))
            if self._may_have_defined:
                self.stack.constraints = constraints_of(self.physical)
        return self.verdict()

    def _settle(self, connection: LogicalConnection) -> None:
        if connection.in_transaction:
            standing = connection.standing()
            self._commit(connection)
            connection.take_over(standing)

    def has_written(self) -> bool:
        """Whether anything would be undone at its end; the server knows."""
        with self.lock:
            self._heal()
            ids = int(self.physical.rows(IDS)[0][0])
            return ids >= self._outer.places or self.parameters.are_touched

    # -- the end ------------------------------------------------------------------------------

    def wind_down(self, timeout: float = 10.0) -> None:
        """The test's body is over: end what another thread still runs, and look at no rollback."""
        if self._hold(timeout):
            self.lock.release()
        self.is_winding_down = True

    def verdict(self, timeout: float = 10.0) -> list[PgSandboxError]:
        """Return what must make the test fail as it stands, at the end of its body."""
        if not self._hold(timeout):
            return self._unreported()
        try:
            if self._broken is None and not self._is_lost():
                self._heal()
                self._check_deferred()
            return self._unreported()
        except Exception:
            if not self._is_lost():
                raise
            return []  # `finish` tells it
        finally:
            self.lock.release()

    def finish(self, timeout: float = 10.0) -> list[PgSandboxError]:
        """Roll the test back and return what must make it fail; never raises, never waits long.

        *timeout* in seconds bounds the wait for a statement that another thread still runs; after
        it the statement is cancelled, and a while later the connection is closed.
        """
        held = self._hold(timeout)
        try:
            self.is_finished = True
            if held:
                self._finish()
            else:
                self._give_up()
            for connection in self._connections:
                connection.is_cut = connection.in_transaction and connection.is_used_elsewhere()
                connection.frames.clear()
                connection.in_transaction = connection.has_failed = False
            return self._unreported()
        finally:
            if held:
                self.lock.release()

    def _finish(self) -> None:
        try:
            if self._broken is None and not self._is_lost():
                self._heal()
                self._check_deferred()
                self._say_farewell(self._outer.end)
                return
        except Exception:  # noqa: BLE001  # whatever it was, teardown goes on and the test fails
            if self._broken is None and not self._is_lost():
                self._outer_ended(self._suspect)
        if not self._is_lost():
            with contextlib.suppress(Exception):
                self._say_farewell("ROLLBACK")
                return
        if not any(isinstance(error, SandboxLost) for error in self.violations):
            self._violation(refusals.lost(self.test))
        self.physical.close()

    def _hold(self, timeout: float) -> bool:
        """Whether no other thread runs a statement, after *timeout* seconds by cancelling it."""
        if self.lock.acquire(timeout=timeout):
            return True
        last = self.executed[-1].text if self.executed else None
        self._violation(refusals.still_running(last, self.test))
        self.physical.cancel()
        return self.lock.acquire(timeout=_LIMIT_OF_CANCELLING)

    def _give_up(self) -> None:
        self.may_have_escaped = True
        self.physical.close()

    def _say_farewell(self, end: str) -> None:
        """Roll back, drop what a rollback leaves, and ask the farewell question, in one round trip.

        Prepared statements and what currval() says belong to the session (PostgreSQL manual,
        PREPARE and DISCARD).
        """
        end += f"; DEALLOCATE ALL; DISCARD SEQUENCES{self._outer.refresh}"
        if self._witness is None:
            self.physical.execute(end)
        else:
            question = self._witness.question(may_hold_locks=self._may_hold_locks)
            self.farewell = self.physical.rows(f"{end}; {question}")[0]

    def _check_deferred(self) -> None:
        """Check the deferred constraints, once, unless an open transaction is none of the test's.

        What the application has not committed would not be checked in production either, and after
        another violation the rows are not what the test wrote.
        """
        others = any(c.in_transaction and not c.is_arranging for c in self._connections)
        is_settled = others or self._is_checked or self.violations or self.stack.is_pending
        if is_settled or not self.stack.constraints.are_deferrable:
            return
        try:
            self._drive(self.stack.check_constraints())
        except Exception as error:
            if not sqlstate_of(error):
                raise
            self._is_checked = True
            self._violation(refusals.deferred(str(error), self.test))

    def _unreported(self) -> list[PgSandboxError]:
        found = [error for error in self.violations if error not in self._reported]
        self._reported.extend(found)
        return found

    # -- one statement ------------------------------------------------------------------------

    def _send(
        self, connection: LogicalConnection, statement: Statement, send: Callable[[], T]
    ) -> T:
        __tracebackhide__ = True
        if connection.has_failed:
            return in_failed_transaction(self.physical, send)
        self._drive(self.stack.begin_statement(connection, statement))
        self._may_hold_locks = (
            self._may_hold_locks or statement.names_advisory_locks or statement.may_define
        )
        try:
            self.parameters.prepare(connection, statement.text)
            is_read_only = connection.is_read_only or connection.reads_only
            result = in_read_only_transaction(self.physical, send) if is_read_only else send()
        except BaseException as error:
            self._recover(connection, statement)
            if note := refusals.NOTES.get(sqlstate_of(error) or ""):
                error.add_note(note)
            if connection.autocommit and sqlstate_of(error) in refusals.ENDS_TRANSACTIONS:
                raise refusals.not_in_transaction(statement.text, self.test) from error
            raise
        self._succeed(connection, statement)
        return result

    def _succeed(self, connection: LogicalConnection, statement: Statement) -> None:
        if statement.kind is Kind.WRITE and ends_a_transaction(statement.text):
            self._suspect = statement
        if self.physical.status() is not Status.IN_TRANSACTION:
            raise self._outer_ended(statement)
        self.stack.statement_succeeded(connection, statement)
        self._may_have_defined = self._may_have_defined or statement.may_define
        self.parameters.learn(connection, statement.text)
        if connection.autocommit and not connection.is_explicit:
            self._commit(connection)

    def _recover(self, connection: LogicalConnection, statement: Statement) -> None:
        """After *statement* failed: everybody else goes on, *connection* as its driver would."""
        status = self.physical.status()
        if status is Status.LOST:
            self._violation(refusals.lost(self.test))
            return
        if status is Status.IDLE:
            self._outer_ended(statement)
            return
        if status is not Status.IN_TRANSACTION:
            self._drive(self.stack.statement_failed(connection))
        if connection.autocommit and not connection.is_explicit:
            self._rollback(connection)

    def _commit(self, connection: LogicalConnection) -> None:
        __tracebackhide__ = True
        is_rollback = connection.has_failed
        try:
            self._drive(self.stack.commit(connection))
        except BaseException:
            is_rollback = True
            raise
        finally:
            end = self.parameters.rolled_back if is_rollback else self.parameters.committed
            end(connection)

    def _rollback(self, connection: LogicalConnection) -> None:
        __tracebackhide__ = True
        self.parameters.rolled_back(connection)
        self._drive(self.stack.rollback(connection))

    def _control(
        self, connection: LogicalConnection, statement: Statement, send: Callable[[], T]
    ) -> T | None:
        __tracebackhide__ = True
        kind, stack = statement.kind, self.stack
        known = stack.has_savepoint(connection, statement.savepoint)
        if kind is Kind.BEGIN:
            connection.is_explicit = connection.autocommit
            connection.in_transaction = True
            connection.set_mode(statement.text)
        elif kind is Kind.COMMIT and connection.is_explicit:
            self._commit(connection)
        elif kind is Kind.ROLLBACK and connection.is_explicit:
            self._rollback(connection)
        elif kind in (Kind.COMMIT, Kind.ROLLBACK, Kind.PREPARE_TRANSACTION):
            raise self._violation(refusals.raw_control(statement.text, connection.label, self.test))
        elif kind is Kind.ROLLBACK_TO and known:
            self._drive(stack.rollback_to(connection, statement))
            self.parameters.rolled_back(connection, to=connection.savepoints())
        elif connection.has_failed:
            return in_failed_transaction(self.physical, send)
        elif kind is Kind.SAVEPOINT:
            self._drive(stack.savepoint(connection, statement))
        elif known:
            self._drive(stack.release(connection, statement))
            self.parameters.released(connection, to=connection.savepoints())
        else:
            return self._send(connection, statement, send)
        return None

    def _check_usable(self) -> None:
        __tracebackhide__ = True
        if os.getpid() != self._pid:
            raise refusals.in_child_process(os.getpid(), self.test)
        if self._broken is not None:
            raise self._broken
        if self._is_lost():
            raise self._violation(refusals.lost(self.test))
        if self.physical.status() is Status.ACTIVE:
            raise refusals.busy(self.executed[-1].text, self.test)
        self._heal()

    def _heal(self) -> None:
        """Roll back abandoned connections, and a failure that happened outside of `run`."""
        if self._broken is not None:
            return
        while self._abandoned:
            connection = self._abandoned.pop()
            if connection.in_transaction:
                with contextlib.suppress(TransactionsInterleaved):  # the verdict tells it
                    self._rollback(connection)
        if self.physical.status() is Status.IN_ERROR and self.stack.frames:
            owner = self.stack.frames[-1].owner
            if owner is not None:
                self._drive(self.stack.statement_failed(owner))

    def _drive(self, steps: Steps) -> None:
        """Run the SQL that *steps* yields, telling it how each went."""
        __tracebackhide__ = True
        if self._may_have_defined and self.physical.status() is Status.IN_TRANSACTION:
            self.stack.constraints = constraints_of(self.physical)
        try:
            command = next(steps)
            while True:
                try:
                    reply = self._perform(command)
                except Exception as error:
                    if self.physical.status() is Status.LOST:
                        raise self._violation(refusals.lost(self.test)) from error
                    if sqlstate_of(error) == "3B001":
                        raise self._outer_ended(self._suspect) from error
                    command = steps.throw(error)
                else:
                    command = steps.send(reply)
        except StopIteration:
            return
        except TransactionsInterleaved as error:
            if self.is_winding_down:
                return  # it is undone with the rest, and nobody looks at it before
            raise (error if error in self.violations else self._violation(error)) from None

    def _perform(self, command: Run | Ask) -> int | None:
        if isinstance(command, Ask):
            return int(self.physical.rows(command.sql)[0][0])
        if "ROLLBACK TO" in command.sql:
            self.parameters.undone()
        with patience.bounded(self.physical):
            self.physical.execute(command.sql)
        return None

    # -- what can't be -------------------------------------------------------------------------

    def _is_lost(self) -> bool:
        return self.physical.status() is Status.LOST

    def _violation(self, error: PgSandboxError) -> PgSandboxError:
        self.violations.append(error)
        return error

    def _outer_ended(self, statement: Statement | None) -> PgSandboxError:
        self.may_have_escaped = True
        self._broken = refusals.outer_ended(statement.text if statement else None, self.test)
        return self._violation(self._broken)
