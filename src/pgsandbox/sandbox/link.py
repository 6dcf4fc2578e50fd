"""What ties one stand-in to the sandbox of whichever test is running."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TypeVar

from pgsandbox.sandbox import refusals
from pgsandbox.sandbox.frames import LogicalConnection
from pgsandbox.sandbox.parameters import quoted
from pgsandbox.sandbox.sandbox import Sandbox

T = TypeVar("T")


class Link:
    """One logical connection, as long as the application keeps it.

    An application's pool keeps connections from test to test. The link joins the running test's
    sandbox whenever it is first used in it; of an earlier test nothing is left but the settings of
    autocommit and read-only, as on a real connection that was returned to its pool.
    """

    def __init__(
        self, find_sandbox: Callable[[], Sandbox], label: str, *, is_arranging: bool = False
    ) -> None:
        self._find_sandbox = find_sandbox
        self._label = label
        self._is_arranging = is_arranging
        self.is_closed = False
        self.is_in_use = False
        """Whether the pool has handed it out, so that its engine is done setting it up."""
        self.set_up_in: Sandbox | None = None
        """Where statements ran before its first use, if any did: that test's rollback undid them.

        Not the present sandbox: a pool's ping may have brought the link into that already.
        """
        self._standing: list[tuple[Sandbox, LogicalConnection]] = []
        """Where it stands in what wider fixtures have made, the widest first."""
        self.sandbox = find_sandbox()
        self.state: LogicalConnection = self.sandbox.join(label, is_arranging=is_arranging)

    def refresh(self) -> None:
        """Join the running test's sandbox.

        Raises:
            GuardError: no test is running, or the running one did not ask for the database.
            SandboxLost: the transaction began in a test that is over.
        """
        __tracebackhide__ = True
        if not self._is_current():
            if self.state.is_cut:
                raise refusals.cut(self.state.label, self.sandbox.test)
            self._join(self._find_sandbox())

    def _join(self, sandbox: Sandbox) -> None:
        before = self.state
        if self.sandbox.is_frozen:
            self._standing.append((self.sandbox, before))
        while self._standing and self._standing[-1][0].is_finished:
            self._standing.pop()
        self.sandbox = sandbox
        if self._standing and self._standing[-1][0] is sandbox:  # its fixture is torn down
            self.state = self._standing.pop()[1]
            return
        self.state = sandbox.join(self._label, is_arranging=self._is_arranging)
        if self._standing:
            beneath, origin = self._standing[-1]
            self.state.take_over(origin)
            sandbox.parameters.inherit(self.state, beneath.parameters, origin)
        else:
            self.state.autocommit = before.autocommit
            self.state.is_read_only = before.is_read_only

    def run(self, text: str, send: Callable[[], T], *, is_recorded: bool = True) -> T | None:
        """Let the sandbox send one statement."""
        __tracebackhide__ = True
        while True:
            self.refresh()
            with self.sandbox.lock:
                if self._is_current():  # or else it was over while this thread waited
                    if not self.is_in_use:
                        self.set_up_in = self.sandbox
                    is_recorded = is_recorded and self.is_in_use
                    return self.sandbox.run(self.state, text, send, is_recorded=is_recorded)

    def _is_current(self) -> bool:
        return not (self.sandbox.is_finished or self.sandbox.is_frozen)

    def set_up(self, values: Mapping[str, str]) -> None:
        """Set run-time parameters, as the options of a real connection do."""
        for name, value in values.items():
            statement = f"SELECT set_config({quoted(name)}, {quoted(value)}, false)"
            physical = self.sandbox.physical
            self.run(statement, functools.partial(physical.execute, statement))
        if values:
            self.commit()

    def commit(self) -> None:
        """Commit in the sandbox; nothing where the transaction ended with its test."""
        __tracebackhide__ = True
        if self.sandbox.is_frozen or self._standing:
            self._end_beneath()
        if self._is_current():
            self.sandbox.commit(self.state)
        elif self.state.is_cut:
            raise refusals.cut(self.state.label, self.sandbox.test)

    def rollback(self) -> None:
        """Roll back in the sandbox; nothing where the transaction ended with its test."""
        __tracebackhide__ = True
        self.state.is_cut = False
        if self.sandbox.is_frozen or self._standing:
            self._end_beneath()
        with self.sandbox.lock if self._is_current() else nullcontext():
            if self._is_current():
                self.sandbox.rollback(self.state)

    def _end_beneath(self) -> None:
        """What a wider fixture left open is ended, though what it wrote stands."""
        for _, state in self._standing:
            state.ended()
        if self.sandbox.is_frozen:
            self.state.ended()

    def close(self) -> None:
        """Undo what was not committed, as closing a connection does."""
        if not self.is_closed:
            self.is_closed = True
            self.rollback()

    def abandon(self) -> None:
        """Close without taking a lock, for a stand-in that nobody holds any more."""
        if not self.is_closed:
            self.is_closed = True
            self.sandbox.abandon(self.state)

    def begin(self) -> None:
        """Begin a transaction that the driver's own context manager will end."""
        self.refresh()
        self.state.in_transaction = True
        self.state.is_explicit = self.state.autocommit

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of this connection is open."""
        return self.state.in_transaction and not self.sandbox.is_finished

    @property
    def transaction(self) -> tuple[Sandbox, int]:
        """What tells its transactions apart, for what ends with one of them."""
        return self.sandbox, self.state.transactions

    @property
    def has_failed(self) -> bool:
        """Whether the open transaction can only be rolled back."""
        return self.in_transaction and self.state.has_failed

    def refuse_isolation_level(self, level: str) -> None:
        """Refuse a level that one shared transaction can't give.

        An engine that asks for it on every connection is let through, since its owner can't do
        anything about it test by test; the limit is documented.

        Raises:
            NotInSandbox: code asked for the level on a connection in use.
        """
        if not self.is_in_use:
            return
        raise refusals.isolation_level(
            f"isolation level {level}", self.state.label, self.sandbox.test
        )
