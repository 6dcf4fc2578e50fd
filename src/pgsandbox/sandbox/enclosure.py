"""One test database as the sandbox knows it: its real connections, and the running test in it."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from sqlalchemy.engine import URL, Dialect

from pgsandbox import guard
from pgsandbox.errors import Fact, NotInSandbox, PgSandboxError
from pgsandbox.sandbox import direct
from pgsandbox.sandbox.clones import Clone
from pgsandbox.sandbox.constraints import Constraints
from pgsandbox.sandbox.drivers import SUPPORTED, module_of
from pgsandbox.sandbox.physical import Physical, Status
from pgsandbox.sandbox.refusals import CLONE
from pgsandbox.sandbox.sandbox import Executed, Sandbox
from pgsandbox.sandbox.witness import Witness


class Enclosure:
    """One test database, and the transaction of the running test in it.

    The physical connection is kept from test to test, one per driver; a test uses one driver only,
    since two drivers can't share a transaction.
    """

    def __init__(self, name: str, url: URL, target: guard.Target) -> None:
        self.name = name
        """What the settings call it: ``default``, or the name of a bind."""
        self.url = url
        """Its URL, with the password."""
        self.target = target
        self.sandbox: Sandbox | None = None
        """The running test's transaction; None until the test's first connection."""
        self.clone: Clone | None = None
        """The running test's own database, if it asked for one: then nothing is sandboxed."""
        self.is_in_doubt = False
        """Whether a test may have changed the database for real: it must be made anew."""
        self._lock = threading.Lock()
        self._physicals: dict[str, Physical] = {}
        self._constraints: Constraints | None = None
        self._witness: Witness | None = None

    def open(self, driver: str) -> None:
        """Connect by *driver*, and remember the database as it is now, before any test."""
        dialect = self.url.set(drivername=f"postgresql+{driver}").get_dialect()
        made = dialect()
        made.dbapi = dialect.import_dbapi()
        self._physical(made)

    def sandbox_of(self, dialect: Dialect, test: str) -> Sandbox:
        """Return the running test's transaction, begun at the test's first connection.

        Raises:
            NotInSandbox: the test has opened this database with another driver already.
        """
        with self._lock:
            if self.sandbox is None:
                physical = self._physical(dialect)
                self.sandbox = Sandbox(physical, test, self._constraints, self._witness)
                self._constraints = self.sandbox.constraints
        if self.sandbox.physical.driver != dialect.driver:
            raise NotInSandbox(
                f"The test opened one database with two drivers, {self.sandbox.physical.driver} "
                f"and {dialect.driver}, and two drivers can't share the transaction that holds a "
                "sandboxed test.",
                facts=[Fact("test", test), Fact("database", self.url.database or "")],
                remedy=(
                    f"Use one driver throughout: db_session uses {self.sandbox.physical.driver}, "
                    f"from the setting `url`. {CLONE}"
                ),
            )
        return self.sandbox

    def finish(self, test: str) -> list[PgSandboxError]:
        """Roll *test* back, and return what must make it fail.

        A test that opened no connection through the door is looked at, too: it may have opened one
        past it.
        """
        sandbox, self.sandbox = self.sandbox, None
        if sandbox is None:
            idle = [each for each in self._physicals.values() if each.status() is Status.IDLE]
            return self._ask(idle[0], test) if idle else []
        errors = sandbox.finish()
        physical = sandbox.physical
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
        return self._look(physical, physical.rows(question)[0], test)

    def _look(
        self, physical: Physical, answer: tuple[Any, ...], test: str, *, thoroughly: bool = False
    ) -> list[PgSandboxError]:
        if self._witness is None:
            return []
        escaped = self._witness.look(physical, answer, test, thoroughly=thoroughly)
        self.is_in_doubt = self.is_in_doubt or bool(escaped)
        return list(escaped)

    def executed(self) -> list[Executed]:
        """Return the statements that the running test sent to it so far, oldest first."""
        if self.clone is not None:
            return self.clone.executed
        return self.sandbox.executed if self.sandbox is not None else []

    def expect_session(self) -> None:
        """Count a session on this database that pgsandbox itself is about to open."""
        if self._witness is not None:
            self._witness.expect_session()

    def close(self) -> None:
        """Close the physical connections, so that the database can be dropped."""
        for physical in self._physicals.values():
            physical.close()
        self._physicals.clear()
        self._constraints = self._witness = None
        self.is_in_doubt = False

    def driver_of(self, dialect: Dialect, test: str) -> Any:
        """Return the module that stands in for connections of *dialect*'s driver.

        Raises:
            NotInSandbox: there is none yet.
        """
        found = module_of(dialect.driver)
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
        else:
            self._witness.expect_session()
        return made

    def _open(self, dialect: Dialect) -> Physical:
        module: Any = module_of(dialect.driver)
        url = self.url.set(drivername=f"postgresql+{dialect.driver}")
        args, parameters = dialect.create_connect_args(url)
        parameters.setdefault("application_name", "pgsandbox")
        with direct.ours():
            physical: Physical = module.Physical(dialect.connect(*args, **parameters))
        return physical
