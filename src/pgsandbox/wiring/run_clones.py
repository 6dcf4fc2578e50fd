"""The databases of its own that a test may ask for: copies of the run's test databases."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from pgsandbox import databases
from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.clones import Clone
from pgsandbox.sandbox.driver_hooks import target_of_url as target_of
from pgsandbox.wiring.run_databases import RunDatabase


class RunClones:
    """Those of the running test, and the pool of those made ahead, once a test will need it."""

    def __init__(
        self,
        run_databases: Mapping[str, RunDatabase],
        make_pool: Callable[[], databases.ClonePool],
    ) -> None:
        self.taken: databases.Copies = ()
        """Those of the running test."""
        self._run_databases = run_databases
        self._make_pool = make_pool
        self._pool: databases.ClonePool | None = None

    def expect(self, tests: int) -> None:
        """Make databases ahead for so many tests that will ask for their own.

        Errors are not raised here: the test that asks gets them again.
        """
        with contextlib.suppress(PgSandboxError):
            self._made_pool().expect(tests)

    def take(self) -> dict[str, Clone]:
        """Return databases for the running test, by the names of those that they are copies of.

        Raises:
            DatabaseError: one could not be made; the others are dropped again.
        """
        self.taken = self._made_pool().take()
        clones = {}
        for (name, each), owned in zip(self._run_databases.items(), self.taken, strict=True):
            url = each.database.url.set(database=owned.name)
            clones[name] = Clone(url, target_of(url))
            each.database.former.append(clones[name].target)
        return clones

    def check_shared(self) -> list[PgSandboxError]:
        """Return what the running test has changed for every database of the server."""
        found = self._pool.check() if self._pool is not None else None
        return [found] if found else []

    def drop(self, *, keep: bool) -> databases.Copies:
        """Drop the running test's databases, or keep them; return those kept.

        They are dropped in the background; what goes wrong there is told at the end.
        """
        taken, self.taken = self.taken, ()
        if not taken:
            return ()
        if not keep:
            self._made_pool().give_back(taken)
            return ()
        for owned in taken:
            owned.keep()
        return taken

    @property
    def waits(self) -> list[float]:
        """How many seconds each test waited for its databases."""
        return self._pool.waits if self._pool is not None else []

    def stop(self) -> list[PgSandboxError]:
        """Drop what is left, and return what went wrong."""
        pool, self._pool = self._pool, None
        taken, self.taken = self.taken, ()
        if pool is None:
            return []
        pool.give_back(taken)
        return pool.stop()

    def _made_pool(self) -> databases.ClonePool:
        if self._pool is None:
            self._pool = self._make_pool()
        return self._pool
