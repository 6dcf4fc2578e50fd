"""One test database as the sandbox knows it: its real connections, and the running test in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy.engine import URL, Dialect

from pgsandbox import guard
from pgsandbox.errors import Fact, NotInSandbox, PgSandboxError, TwoDrivers
from pgsandbox.sandbox import direct, patience, refusals
from pgsandbox.sandbox.clones import Clone
from pgsandbox.sandbox.constraints import Constraints
from pgsandbox.sandbox.drivers import SUPPORTED, module_of
from pgsandbox.sandbox.frames import Executed
from pgsandbox.sandbox.physical import Physical, Status
from pgsandbox.sandbox.refusals import CLONE
from pgsandbox.sandbox.sandbox import Sandbox
from pgsandbox.sandbox.sequences import Sequences
from pgsandbox.sandbox.witness import Witness


class Enclosure:
    """One test database, and the transaction of the running test in it.

    The physical connection is kept from test to test, one per driver; a test uses one driver only,
    since two drivers can't share a transaction.
    """

    def __init__(
        self, name: str, url: URL, target: guard.Target, *, restarts_sequences: bool = False
    ) -> None:
        self.name = name
        """What the settings call it: ``default``, or the name of a bind."""
        self.url = url
        """Its URL, with the password."""
        self.target = target
        self.sandbox: Sandbox | None = None
        """The running test's transaction; None until the test's first connection."""
        self.standing: list[Sandbox] = []
        """What fixtures of wider scopes have made, each a savepoint in the one before."""
        self.aside: Sandbox | None = None
        """The running test's transaction, while a wider fixture is set up that may go beneath."""
        self._refusal: PgSandboxError | None = None
        """Why the wider fixture that is set up may not open the database."""
        self.is_bereft = False
        """Whether what stood is gone, because its transaction ended."""
        self._sent: list[Executed] = []
        """What the running test sent before a wider fixture went beneath it."""
        self.clone: Clone | None = None
        """The running test's own database, if it asked for one: then nothing is sandboxed."""
        self.former: list[guard.Target] = []
        """The databases of earlier tests: an engine that was made in one stays usable."""
        self.is_in_doubt = False
        """Whether a test may have changed the database for real: it must be made anew."""
        self._lock = threading.Lock()
        self._physicals: dict[str, Physical] = {}
        self._constraints: Constraints | None = None
        self._witness: Witness | None = None
        self._restarts_sequences = restarts_sequences
        self._sequences: Sequences | None = None

    def open(self, driver: str) -> None:
        """Connect by *driver*, and remember the database as it is now, before any test."""
        self._physical(self._dialect(driver))

    def sandbox_of(self, dialect: Dialect, test: str) -> Sandbox:
        """Return the running test's transaction, begun at the test's first connection.

        Raises:
            TwoDrivers: the test has opened this database with another driver already.
        """
        with self._lock:
            if self.sandbox is None:
                self._go_beneath(test)
                self.sandbox = self._begun(dialect, test)
        if self.sandbox.physical.driver != dialect.driver:
            raise TwoDrivers(
                f"The test opened one database with two drivers, {self.sandbox.physical.driver} "
                f"and {dialect.driver}, and two drivers can't share the transaction that holds a "
                "sandboxed test.",
                facts=[Fact("test", test), Fact("database", self.url.database or "")],
                remedy=(
                    "Use one driver throughout. The fixtures use that of the setting `url`, for "
                    "synchronous and for asynchronous sessions; an application that is both can "
                    f"use psycopg for both. {CLONE}"
                ),
            )
        return self.sandbox

    def _begun(self, dialect: Dialect, test: str) -> Sandbox:
        beneath = self.standing[-1] if self.standing else None
        physical = beneath.physical if beneath else self._physical(dialect)
        constraints = beneath.stack.constraints if beneath else self._constraints
        if beneath is None and self._sequences is not None:
            self._sequences.restart(physical)
        sandbox = Sandbox(physical, test, constraints, self._witness, beneath)
        if beneath is None:
            self._constraints = sandbox.constraints
        if self.aside is None:
            sandbox.executed, self._sent = self._sent, []
        return sandbox

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
            raise refusals.too_late(fixture, aside.test, aside.executed)
        self._sent = aside.executed
        aside.finish()

    def set_aside(self, refusal: PgSandboxError | None) -> None:
        """Let a fixture of a wider scope begin a transaction, or else hear *refusal*."""
        self._refusal = refusal
        if self.sandbox is not None:
            self.aside, self.sandbox = self.sandbox, None
            self.aside.is_frozen = True

    def take_back(self) -> None:
        """Let the running test go on."""
        aside, self.aside, self._refusal = self.aside, None, None
        if self.sandbox is not None:  # begun by a thread that nobody has joined
            self.sandbox.finish()
            self.sandbox = None
        if aside is not None and not aside.is_finished:
            self.sandbox, aside.is_frozen = aside, False

    def freeze(self) -> Sandbox | None:
        """Let stand what a wider fixture has made, and return it; None if it has made nothing."""
        sandbox = self.sandbox
        if sandbox is None or not sandbox.has_written():
            return None
        with sandbox.lock:
            sandbox.settle()  # what other threads have done since
            sandbox.is_frozen, self.sandbox = True, None
        self.standing.append(sandbox)
        if self._witness is not None:
            self._witness.remember_locks(sandbox.physical)
        return sandbox

    def resume(self, sandbox: Sandbox) -> None:
        """Go on in what a wider fixture has made, on which nothing stands any more."""
        if self.standing and self.standing[-1] is sandbox:
            self.standing.pop()
            sandbox.is_frozen, sandbox.is_winding_down = False, True
            self.sandbox = sandbox
        if self._witness is not None and not self.standing:
            self._witness.remember_locks(None)

    def _lose(self) -> None:
        for sandbox in self.standing:
            sandbox.is_finished, sandbox.is_frozen = True, False
        self.is_bereft = self.is_bereft or bool(self.standing)
        self.standing.clear()

    def finish(self, test: str) -> list[PgSandboxError]:
        """Roll *test* back, and return what must make it fail.

        A test that opened no connection through the door is looked at, too: it may have opened one
        past it.
        """
        sandbox, self.sandbox = self.sandbox, None
        self._sent = []
        if sandbox is None:
            usable = Status.IN_TRANSACTION if self.standing else Status.IDLE
            idle = [each for each in self._physicals.values() if each.status() is usable]
            return self._ask(idle[0], test) if idle else []
        physical = sandbox.physical
        with patience.bounded(physical):
            errors = sandbox.finish()
        if self.standing and physical.status() is not Status.IN_TRANSACTION:
            self._lose()
        if physical.status() is Status.LOST:
            self._physicals.pop(physical.driver, None)
        elif sandbox.farewell is not None:
            thoroughly = sandbox.may_have_escaped
            escaped = self._look(physical, sandbox.farewell, test, thoroughly=thoroughly)
            # What a broken transaction committed is named already, by the statement that broke it.
            errors.extend([] if thoroughly else escaped)
        self.is_in_doubt = self.is_in_doubt or sandbox.may_have_escaped
        return errors

    def _ask(self, physical: Physical, test: str) -> list[PgSandboxError]:
        if self._witness is None:
            return []
        question = self._witness.question(may_hold_locks=False)
        if self.standing:
            question = f"SELECT pg_stat_clear_snapshot(); {question}"
        return self._look(physical, physical.rows(question)[0], test)

    def _look(
        self, physical: Physical, answer: tuple[Any, ...], test: str, *, thoroughly: bool = False
    ) -> list[PgSandboxError]:
        if self._witness is None:
            return []
        outside = self._outside() if self.standing else contextlib.nullcontext(physical)
        escaped = self._witness.look(physical, answer, test, thoroughly=thoroughly, outside=outside)
        self.is_in_doubt = self.is_in_doubt or bool(escaped)
        return list(escaped)

    @contextlib.contextmanager
    def _outside(self) -> Iterator[Physical]:
        """A connection that sees nothing of what stands."""
        self.expect_session()
        observer = self._open(self._dialect(self.url.get_driver_name()))
        try:
            yield observer
        finally:
            observer.close()

    def executed(self) -> list[Executed]:
        """Return the statements that the running test sent to it so far, oldest first."""
        if self.clone is not None:
            return self.clone.executed
        return self.sandbox.executed if self.sandbox is not None else []

    def unseen(self, ask: Callable[[str], Any]) -> str | None:
        """Return what to tell of a failing test if others have opened its database meanwhile.

        *ask* returns the answer to a query that any connection to the server can send.
        """
        if self._witness is None or self.sandbox is None:
            return None
        return self._witness.unseen(int(ask(self._witness.sessions_now())))

    def expect_session(self) -> None:
        """Count a session on this database that pgsandbox itself is about to open."""
        if self._witness is not None:
            self._witness.expect_session()

    def close(self) -> None:
        """Close the physical connections, so that the database can be dropped."""
        for physical in self._physicals.values():
            physical.close()
        self._physicals.clear()
        self._lose()
        self._constraints = self._witness = self._sequences = None
        self.is_in_doubt = False

    def driver_of(self, dialect: Dialect, test: str) -> Any:
        """Return the module that stands in for connections of *dialect*'s driver.

        Raises:
            NotInSandbox: there is none yet.
        """
        found = module_of(dialect.driver, is_async=dialect.is_async)
        if found is not None:
            return found
        raise NotInSandbox(
            f"The sandbox can't hold connections of the driver {dialect.driver}.",
            facts=[
                Fact("test", test),
                Fact("database", self.url.database or ""),
                Fact("drivers", ", ".join(SUPPORTED)),
            ],
            remedy=f"Use one of these drivers. {CLONE}",
        )

    def _dialect(self, driver: str) -> Dialect:
        dialect = self.url.set(drivername=f"postgresql+{driver}").get_dialect()
        made = dialect()
        made.dbapi = dialect.import_dbapi()
        return made

    def _physical(self, dialect: Dialect) -> Physical:
        physical = self._physicals.get(dialect.driver)
        if physical is not None and physical.status() is Status.IDLE:
            return physical
        if physical is not None:
            with contextlib.suppress(Exception):
                physical.close()
        made = self._open(dialect)
        self._physicals[dialect.driver] = made
        if self._witness is None:
            self._witness = Witness(made)
            self._sequences = Sequences(made) if self._restarts_sequences else None
        else:
            self._witness.expect_session()
        return made

    def _open(self, dialect: Dialect) -> Physical:
        module: Any = module_of(dialect.driver)
        url = self.url.set(drivername=f"postgresql+{dialect.driver}")
        _, parameters = dialect.create_connect_args(url)
        with direct.ours():
            physical: Physical = module.open_physical(parameters)
        return physical
