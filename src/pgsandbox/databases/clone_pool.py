"""Copies of templates for single tests, made ahead of them and dropped behind them.

A test that needs a database of its own takes one that is ready. In the background one thread makes
the next ones, and another drops those that were used, so that no test waits behind a drop. Together
they hold a few databases at most, and two connections.

**What background work may not do.** It fails no test: what can't be made ahead is made when the
test asks, and then the error is the test's own. It does not keep the run from ending: each
statement has a time limit, `ClonePool.stop` waits for a bounded time, the threads are daemons. It
leaves nothing behind: every copy is marked and leased as all databases of the run are, so that a
killed run's are dropped by the next one. No name is given twice: a connection that outlives its
test finds nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pgsandbox.databases.connecting import HeldServer, Server
from pgsandbox.databases.lease import LIMITS as LEASE_LIMITS
from pgsandbox.databases.lease import Leases
from pgsandbox.databases.lifecycle import OwnedDatabase, claim, reap
from pgsandbox.databases.limits import Limits
from pgsandbox.databases.shared import SharedState, changes, left_changed, shared_state
from pgsandbox.errors import DatabaseError, PgSandboxError, ServerError, SharedStateChanged

READY = 2
"""How many tests can find a copy ready."""
BACKLOG = 4
"""How many used copies may wait to be dropped before no further ones are made ahead."""
LIMITS = Limits(lock=5.0, statement=12.0)
"""How long one statement may take in the background."""

_TIMEOUT = 14.0


@dataclass(frozen=True)
class CloneSource:
    """A template, and what its copies are called after."""

    template: str
    """The template's name."""
    application: str
    """What the names of its copies are made from."""


Copies = tuple[OwnedDatabase, ...]
"""One copy of each source."""


class ClonePool:
    """The copies of one run, those that are ready and those that are to be dropped."""

    def __init__(
        self,
        server: Server,
        leases: Leases,
        sources: Sequence[CloneSource],
        *,
        worker: str | None = None,
        owner: str = "",
    ) -> None:
        self._server = HeldServer(server)
        self._for_dropping = HeldServer(server)
        self._before: SharedState | None = None
        self._taken: list[int] = []
        """The databases of the test that has copies."""
        self._leases = leases
        self._sources = tuple(sources)
        self._worker = worker
        self._owner = owner
        self._next = dict.fromkeys(self._sources, 1)
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        # What the threads share with the run, under the condition's lock.
        self._expected = 0
        self._ready: deque[Copies] = deque()
        self._used: deque[OwnedDatabase] = deque()
        self._has_left_some = False
        self._is_making = False
        self._has_failed = False
        self._is_stopping = False
        self._problems: list[PgSandboxError] = []
        self.waits: list[float] = []
        """How many seconds each test waited for its copies."""

    def expect(self, tests: int) -> None:
        """Begin to make copies ahead for so many *tests* that are still to come."""
        with self._changed:
            self._expected = tests
            if tests and not self._threads:
                for work, name in ((self._keep_making, "make"), (self._keep_dropping, "drop")):
                    thread = threading.Thread(
                        target=work, name=f"pgsandbox-clones-{name}", daemon=True
                    )
                    thread.start()
                    self._threads.append(thread)
            self._changed.notify_all()

    def take(self) -> Copies:
        """A copy of each source for one test, which gives them back or ends their life itself.

        Raises:
            DatabaseError: one could not be made; the others are dropped again.
        """
        began = time.monotonic()
        copies = self._take(began)
        try:
            with self._leases.connected() as connection:
                self._before = shared_state(connection, LEASE_LIMITS)
                self._taken = [owned.mark.oid for owned in copies]
        except BaseException:
            self.give_back(copies)
            raise
        return copies

    def check(self) -> SharedStateChanged | None:
        """What the test that has a copy has changed for every database of the server, if anything.

        Raises DatabaseError if the server can't be asked.
        """
        before, self._before = self._before, None
        if before is None:
            return None
        with self._leases.connected() as connection:
            found = changes(connection, before, LEASE_LIMITS, clones=self._taken)
            return left_changed(connection, found) if found else None

    def _take(self, began: float) -> Copies:
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or not self._is_coming(), _TIMEOUT)
                self._expected = max(0, self._expected - 1)
                ready = self._ready.popleft() if self._ready else ()
                self._has_failed = False
            if ready and all(owned.is_proven() for owned in ready):
                return ready
            if ready:  # the server was restarted, say, and another run may have the names by now
                self.give_back(ready)
            return self._make()
        finally:
            self.waits.append(time.monotonic() - began)
            with self._changed:
                self._changed.notify_all()

    def give_back(self, copies: Sequence[OwnedDatabase]) -> None:
        """Drop *copies*, in the background where there is one."""
        with self._changed:
            self._used.extend(copies)
            self._changed.notify_all()
        if not self._threads:
            while self._drop_next():
                pass

    def stop(self) -> list[PgSandboxError]:
        """Drop what is left, and return what could not be dropped. Twice changes nothing."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        deadline = time.monotonic() + _TIMEOUT
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            return [
                DatabaseError(
                    "The databases of single tests were not all dropped in time.",
                    remedy="The next run drops what is left.",
                )
            ]
        self._threads.clear()
        for copies in self._ready:
            self._used.extend(copies)
        self._ready.clear()
        while self._drop_next():
            pass
        if self._has_left_some:
            try:
                reap(self._server, on_error=self._problems.append)
            except PgSandboxError as error:
                self._problems.append(error)
            self._has_left_some = False
        self._server.close()
        self._for_dropping.close()
        problems, self._problems = self._problems, []
        return problems

    # -- in the background --------------------------------------------------------------------

    def _keep_making(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopping or self._is_needed())
                if self._is_stopping:
                    return
                self._is_making = True
            self._make_ahead()

    def _keep_dropping(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopping or self._used)
                if self._is_stopping:
                    return
            self._drop_next()
            with self._changed:
                self._changed.notify_all()

    def _is_needed(self) -> bool:
        return (
            not self._has_failed
            and len(self._ready) < min(READY, self._expected)
            and len(self._used) <= BACKLOG
        )

    def _is_coming(self) -> bool:
        """Whether the background is at a copy, or about to be."""
        if not self._threads or self._is_stopping:
            return False
        return self._is_making or self._is_needed()

    def _make_ahead(self) -> None:
        made: Copies | None = None
        with suppress(Exception):  # the test that needs the copies gets the error again
            made = self._make()
        with self._changed:
            self._is_making, self._has_failed = False, made is None
            if made is not None:
                self._ready.append(made)
            self._changed.notify_all()

    def _drop_next(self) -> bool:
        """Drop one used copy, if there is one; what goes wrong is told at the end."""
        with self._changed:
            if not self._used:
                return False
            owned = self._used.popleft()
        owned.server = self._for_dropping
        try:
            owned.drop()
        except ServerError:
            # It lets nobody in while a test has taken all connections. The database is now one that
            # a dead run left.
            self._has_left_some = True
        except PgSandboxError as error:
            self._problems.append(error)
        except Exception as error:  # noqa: BLE001 - the thread must not die of it in silence
            self._problems.append(DatabaseError(f"{type(error).__name__}: {error}"))
        return True

    def _make(self) -> Copies:
        made: list[OwnedDatabase] = []
        try:
            for source in self._sources:
                owned = claim(
                    self._server,
                    source.application,
                    worker=self._worker,
                    owner=self._owner,
                    template=source.template,
                    leases=self._leases,
                    first=self._next[source],
                    limits=LIMITS,
                )
                made.append(owned)
                self._next[source] = max(self._next[source], owned.attempt + 1)
        except BaseException:
            for owned in made:
                with suppress(PgSandboxError):
                    owned.drop()
            raise
        return tuple(made)
