"""The running test: its databases, and who uses them.

There is one for the whole run. Where no test is running, it says what is, and lets nobody connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox import cleanup
from pgsandbox.sandbox.clones import Clone
from pgsandbox.sandbox.endpoint.sessions import Late
from pgsandbox.sandbox.fixture_data import FixtureData
from pgsandbox.sandbox.late_threads import LateThreads
from pgsandbox.sandbox.statement_places import StatementPlaces
from pgsandbox.sandbox.test_database import TestDatabase
from pgsandbox.sandbox.uncommitted import Found, UncommittedWork

E = TypeVar("E", bound=PgSandboxError)

_NONE = "no test is running"
_REFUSALS = 100
"""How many are kept for reports: a thread may try without an end."""


class RunningTest:
    """Begins and ends each test in all databases of the run."""

    def __init__(self) -> None:
        self.databases: list[TestDatabase] = []
        """The test databases of this run; empty until the first test asks for one."""
        self.running = _NONE
        """What a message says of the present moment: a test's node id, or a phase."""
        self.is_requested = False
        """Whether the running test asked for the database."""
        self.refused: list[PgSandboxError] = []
        """What was refused to the running test: the first hundred. Other threads may add to it."""
        self.refused_to_others: list[PgSandboxError] = []
        """The same of what was none of the test's: threads asked that were there before it."""
        self.threads = LateThreads()
        self.loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        """The event loops on which a connection was opened."""
        self.pools: weakref.WeakSet[Pool] = weakref.WeakSet()
        """Those that have handed out connections of an event loop."""
        self.fixture_data = FixtureData(self)
        """What fixtures of wider scopes have made."""
        self.places = StatementPlaces()
        """Where the running test's statements came from."""
        self._sessions: weakref.WeakKeyDictionary[Session, threading.Thread] = (
            weakref.WeakKeyDictionary()
        )
        self._is_in_teardown = False
        """Whether the endpoints know that the test's body is over."""

    # -- its life, in the order in which it happens -------------------------------------------

    def begin(self, test: str) -> None:
        """*test* is about to be set up, and has not asked for the database yet."""
        self.running = test
        self.refused.clear()
        self.refused_to_others.clear()
        self.threads.begin(test)

    def use_clones(self, clones: Mapping[str, Clone]) -> None:
        """For the running test, connect to *clones* for real, each instead of its database."""
        for database in self.databases:
            database.clone = clone = clones[database.name]
            clone.watch()

    @property
    def is_in_clone(self) -> bool:
        """Whether the running test has databases of its own."""
        return any(each.clone is not None for each in self.databases)

    def enter(self, test: str, *, looks_for_uncommitted: bool = True) -> None:
        """From now on connections belong to *test*, which asked for the database."""
        self.running, self.is_requested = test, True
        self._is_in_teardown = False
        self.refused.clear()
        self.refused_to_others.clear()
        self.places.begin()
        for database in self.databases:
            database.enter(test, looks_for_uncommitted=looks_for_uncommitted)

    def say(self, running: str, *, is_requested: bool) -> None:
        """Let messages name *running*, and let connections pass or not."""
        self.running, self.is_requested = running, is_requested
        self._is_in_teardown = False
        for database in self.databases:
            database.say(running, is_requested=is_requested)

    def check(self) -> list[PgSandboxError]:
        """Return what must make the test fail as it stands, at the end of its body."""
        found = [error for each in self.databases for error in each.check()]
        self._is_in_teardown = True
        return found

    def uncommitted(self, find_held: Callable[[], Iterable[Any]]) -> list[Found]:
        """Return what the application has not committed, at the end of the test's body.

        *find_held* returns what the test and its fixtures hold.
        """
        return [
            found
            for each in self.databases
            if each.seen is not None
            for found in UncommittedWork(each, self.places, self.running, find_held).find()
        ]

    def is_committed(self, found: Found) -> bool:
        """Whether the teardown of the test's fixtures has committed what was *found*."""
        return any(found.key in each.committed for each in self.databases)

    def mark_reported(self, error: BaseException) -> None:
        """Remember that *error* has made the running test fail already."""
        for database in self.databases:
            database.mark_reported(error)

    def begin_teardown(self, timeout: float = 10.0) -> None:
        """The test's body is over: what its fixtures' teardown rolls back, nobody looks at.

        A statement that a thread still runs after *timeout* seconds is cancelled.
        """
        if self._is_in_teardown and timeout:
            return
        self._is_in_teardown = True
        for database in self.databases:
            database.begin_teardown(timeout)

    def finish_early(self) -> list[PgSandboxError]:
        """End the running test's transactions before the teardown of a wider fixture.

        Returns what must make the test fail.
        """
        return self._finish(is_over=False)

    def leave(self) -> list[PgSandboxError]:
        """End the running test's transactions and return what must make the test fail.

        Sessions that the test used are closed, so that no object of theirs reaches the next test.
        """
        errors = self._finish(is_over=True)
        threads = self.threads.end()
        for database in self.databases if threads else []:
            database.hold(threads, self.running)
        self._leave_clones()
        self.running, self.is_requested = _NONE, False
        return errors

    def _finish(self, *, is_over: bool) -> list[PgSandboxError]:
        self.begin_teardown()
        self.close_sessions()
        before, self.is_requested = self.is_requested, False  # for threads that go on
        errors = [
            error for each in self.databases for error in each.finish(self.running, is_over=is_over)
        ]
        self.fixture_data.restore()
        self.is_requested, self._is_in_teardown = before, False
        return errors

    def _leave_clones(self) -> None:
        clones = [each.clone for each in self.databases if each.clone is not None]
        for database in self.databases:
            database.clone = None
        for clone in clones:
            clone.close()

    # -- who uses the databases ---------------------------------------------------------------

    def uses_session(self, session: Session, connection: Connection) -> None:
        """*session* begins on *connection*, and belongs to the running test, or a wider fixture."""
        if self.is_requested and not self.fixture_data.takes(session, connection):
            self._sessions[session] = threading.current_thread()

    def close_sessions(self) -> None:
        """Close the sessions that the running test has used, unless a wider fixture shares them."""
        for session, thread in list(self._sessions.items()):
            # A session of another thread at work is not ours to close; it can't go on anyway.
            if thread is threading.current_thread() or not thread.is_alive():
                with contextlib.suppress(Exception):
                    cleanup.close_session(session, in_clone=self.is_in_clone)
        self._sessions.clear()
        cleanup.close_ended()
        for database in self.databases:
            database.routes.close_forsaken()
        for pool in self.pools:
            cleanup.forget_loop(pool)
        self.pools.clear()

    def abandon_left(self) -> None:
        """Close what nobody has given back to a pool, as the run ends."""
        for database in self.databases:
            database.routes.abandon_left()

    def remember_refusal(self, error: E) -> E:
        """Return *error*, which is raised for a connection, and keep it for reports."""
        is_older = self.threads.is_older(threading.current_thread())
        kept = self.refused_to_others if is_older and not self.is_requested else self.refused
        if len(kept) < _REFUSALS:
            kept.append(error)
        return error

    def take_late(self) -> list[Late]:
        """Return who went on after a test that was over, since this was asked last."""
        found, self.threads.late = self.threads.late, []
        for database in self.databases:
            found += database.late
            database.late = []
        return found
