"""What fixtures of wider scopes have made, and each test starts from.

Such a fixture writes in a savepoint of its own, which stays open beneath those of the tests until
the fixture's scope ends. A test is rolled back to the last of these savepoints, and the fixture's
sessions and objects are restored. The order is a stack, as the server's savepoints are: what began
last ends first.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.orm import InstanceState, Session

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.orm_objects import Snapshot
from pgsandbox.sandbox.routes import is_to_endpoint

if TYPE_CHECKING:
    from pgsandbox.sandbox.running_test import RunningTest
    from pgsandbox.sandbox.test_database import TestDatabase

_EVENTS = (
    "transient_to_pending",
    "pending_to_persistent",
    "loaded_as_persistent",
    "detached_to_persistent",
)


@dataclass(eq=False)
class Level:
    """What one fixture has made."""

    fixture: str
    """Its name for messages."""
    rank: int
    """How wide its scope is; 0 is the widest."""
    params: Mapping[str, Any]
    """The parameters that it depends on, by the names of their fixtures."""
    fixtures: list[tuple[Any, Any]]
    """Definition and request of it, and of those that it has called for, as pytest has them."""
    refusal: PgSandboxError | None = None
    """Why it may not open a database."""
    counted: Mapping[Any, Any] = field(default_factory=dict)
    """Where the sequences of factories stand after it."""
    ending: Any = None
    """Which of the fixtures' teardown runs, once one has begun."""
    frozen: list[tuple[TestDatabase, int]] = field(default_factory=list)
    """The databases that it wrote to, each with its depth there; empty if it has only read."""
    snapshot: Snapshot = field(default_factory=Snapshot)
    """All sessions and objects that tests share from here on, also those of wider levels."""
    sessions: list[Session] = field(default_factory=list)
    """Those that its set-up used, while that runs."""
    unwritten: set[Session] = field(default_factory=set)
    """Those that were given something to write, whether they have connected yet or not."""
    states: list[InstanceState[Any]] = field(default_factory=list)
    """The objects that its set-up made or loaded, while that runs."""


class FixtureData:
    """The levels that tests start from, the widest first, and the one that is being made."""

    def __init__(self, test: RunningTest) -> None:
        self.standing: list[Level] = []
        self.making: Level | None = None
        """The level of the fixture whose set-up runs."""
        self._test = test
        self._thread = threading.current_thread()
        self._is_beyond_repair = False
        """Whether an object could not be restored."""
        self._interrupted: list[Level | None] = []
        self._before: list[tuple[str, bool]] = []

    @property
    def are_lost(self) -> bool:
        """Whether a level is gone with its transaction, or its objects can't be restored."""
        has_lost_data = any(database.has_lost_data for database in self._test.databases)
        return has_lost_data or self._is_beyond_repair

    def takes(self, session: Session, connection: Any) -> bool:
        """Whether *session* belongs to a level, so that no test's end closes it."""
        if self.making is None:
            return bool(self.standing) and session in self.standing[-1].snapshot.sessions
        if threading.current_thread() is not self._thread or connection.dialect.is_async:
            return False
        is_ours = is_to_endpoint(connection)
        if is_ours and session not in self.making.sessions:
            self.making.sessions.append(session)
        return is_ours

    @property
    def has_begun(self) -> bool:
        """Whether the set-up that runs has opened a database."""
        return any(database.has_transaction for database in self._test.databases)

    # -- the set-up of a fixture --------------------------------------------------------------

    def begin(self, level: Level) -> None:
        """Connections belong to *level*'s fixture from here on, until `freeze` or `abandon`.

        Another fixture's set-up may have called for it, as long as that one has not begun. If it
        opens a database, the level's refusal is raised there.
        """
        self._interrupted.append(self.making)
        self.making = level
        self._thread = threading.current_thread()
        self._say(level.fixture)
        self._watch()

    def freeze(self, level: Level) -> list[PgSandboxError]:
        """Keep what *level* has made; return the errors, after which it has to be abandoned.

        What sessions have not written yet is written first.
        """
        below = self.standing[-1].snapshot if self.standing else Snapshot()
        for session in {*below.sessions, *level.sessions, *level.unwritten}:
            if _has_to_write(session):
                session.flush()
        mine = [each for each in level.sessions if each not in below.sessions]
        snapshot = Snapshot((*below.sessions, *mine), (*below.states, *level.states))
        opened = [each for each in self._test.databases if each.has_transaction]
        errors = [error for each in opened for error in each.settle()]
        if errors:
            return errors
        snapshot.restore()
        for database in opened:
            database.routes.close_forsaken()
        for database in opened:
            depth = database.freeze()
            if depth:
                level.frozen.append((database, depth))
            else:
                errors.extend(database.finish(level.fixture, is_over=False, has_written=False))
        level.snapshot = snapshot
        level.sessions, level.states, level.unwritten = [], [], set()
        self._made()
        if level.frozen or len(snapshot) > len(below):
            self.standing.append(level)
        return errors

    def abandon(self, level: Level) -> list[PgSandboxError]:
        """Roll back what *level* has made so far; return the errors."""
        if level in self.standing:  # of several databases, one has contradicted
            self.standing.remove(level)
        below = self.standing[-1].snapshot if self.standing else Snapshot()
        _close([each for each in level.sessions if each not in below.sessions])
        opened = [each for each in self._test.databases if each.has_transaction]
        errors = [error for each in opened for error in each.finish(level.fixture, is_over=False)]
        self._made()
        self.restore()
        return errors

    def _made(self) -> None:
        self._stop_watching()
        self._unsay()
        self.making = self._interrupted.pop()
        if self.making is not None:
            self._watch()

    def _saw(self, session: Session, instance: Any) -> None:
        state = getattr(instance, "_sa_instance_state", None)
        if self.making is not None and state is not None:
            self.making.states.append(state)
            if state.pending:
                self.making.unwritten.add(session)

    def _watch(self) -> None:
        for database in self._test.databases:
            database.set_aside(self.making.refusal if self.making else None)
        for name in _EVENTS:
            if not event.contains(Session, name, self._saw):
                event.listen(Session, name, self._saw)

    def _stop_watching(self) -> None:
        for database in self._test.databases:
            database.take_back()
        for name in _EVENTS:
            event.remove(Session, name, self._saw)

    # -- a test, and the teardown of a fixture ------------------------------------------------

    def restore(self) -> None:
        """Restore sessions and objects as they were before the test that is over."""
        if not self.standing:
            return
        # It sends nothing, or fails.
        before, self._test.is_requested = self._test.is_requested, False
        try:
            self.standing[-1].snapshot.restore()
        except Exception:  # noqa: BLE001  # an object that resists: its fixture runs again
            self._is_beyond_repair = True
        finally:
            self._test.is_requested = before

    def resume(self, level: Level) -> None:
        """Return to the savepoint of *level*, for its fixture's teardown; no test is open."""
        self._say(level.fixture)
        for database, depth in level.frozen:
            database.resume(depth)

    def end(self, level: Level) -> list[PgSandboxError]:
        """Roll back *level*; return the errors."""
        self.standing.remove(level)
        below = self.standing[-1].snapshot if self.standing else Snapshot()
        self._test.close_sessions()
        _close([each for each in level.snapshot.sessions if each not in below.sessions])
        errors = [
            error
            for database in self._test.databases
            if database.has_transaction
            for error in database.finish(level.fixture, is_over=False)
        ]
        self._unsay()
        self.restore()
        return errors

    def forget(self) -> None:
        """Forget that levels were lost."""
        self._is_beyond_repair = False
        for database in self._test.databases:
            database.forget_lost_data()

    def _say(self, fixture: str) -> None:
        self._before.append((self._test.running, self._test.is_requested))
        self._test.say(f"{fixture}, for {self._test.running}", is_requested=True)

    def _unsay(self) -> None:
        running, is_requested = self._before.pop()
        self._test.say(running, is_requested=is_requested)


def _close(sessions: list[Session]) -> None:
    for session in sessions:
        with contextlib.suppress(Exception):
            session.close()


def _has_to_write(session: Session) -> bool:
    if not (session.new or session.dirty or session.deleted):
        return False
    if "sqlalchemy.ext.asyncio" in sys.modules:
        from sqlalchemy.ext.asyncio import async_session

        return async_session(session) is None  # which can be flushed by a coroutine only
    return True
