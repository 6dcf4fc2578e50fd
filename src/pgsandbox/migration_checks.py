"""A project's migrations, checked on databases that are made for it and dropped again.

The checks are in ``schema.checks``, ``schema.long_locks`` and ``comparing``; here each gets
the databases that it needs from a `Run`, for the project's own database and every bind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgsandbox import databases, schema
from pgsandbox.comparing import compare_schemas, in_bind, places_of_migrations
from pgsandbox.reports import Finding, Report, in_order
from pgsandbox.schema import checks, long_locks
from pgsandbox.schema.checks import MigrationRows
from pgsandbox.schema.migrating import Migrations
from pgsandbox.wiring import DEFAULT, Run

Check = Callable[[Migrations], list[Finding]]


@dataclass(frozen=True)
class MigrationChecks:
    """The checks of one project's migrations."""

    run: Run
    """Whose server and settings they use."""

    def single_head(self) -> Report:
        """Report several heads."""
        return self._report(checks.single_head, "one head")

    def upgrade(self) -> Report:
        """Report what keeps an empty database from being migrated."""
        return self._report(checks.upgrade, "upgraded from empty")

    def every_step(self) -> Report:
        """Report each revision that is not undone by its downgrade, or can't be repeated after."""
        return self._report(checks.every_step, "each down and up again")

    def nothing_left(self) -> Report:
        """Report what a downgrade to base leaves."""
        return self._report(checks.nothing_left, "down to base")

    def models_match(self) -> Report:
        """Report what the models say and the migrations don't do, or the reverse."""
        with self._interceptor_set_aside():
            return compare_schemas(self.run.settings, app=self.run.project.app)

    def offline_is_online(self) -> Report:
        """Report where the SQL of ``upgrade --sql`` makes something else."""

        def check(online: Migrations) -> list[Finding]:
            with self._empty(online.location, "offline") as offline:
                return checks.offline_is_online(online, offline)

        return self._report(check, "printed and run")

    def rows_survive(self, given: Sequence[MigrationRows]) -> Report:
        """Report which of the given rows do not arrive, or do not come back."""
        found: list[Finding] = []
        for rows in given:
            location = places_of_migrations(self.run.settings, "check")[rows.bind or DEFAULT]
            with self._empty(location, "rows") as migrations:
                found += checks.rows_survive(migrations, rows)
        return Report(in_order(found), f"{len(given)} sets of rows sent through the migrations.")

    def long_locks(self) -> Report:
        """Report what would keep one of the setting ``large-tables`` locked for long."""
        tables = self.run.settings.large_tables
        return self._report(
            lambda each: long_locks.long_locks(each, tables), "looked at for long locks"
        )

    # -- databases ----------------------------------------------------------------------------

    def _report(self, check: Check, what: str) -> Report:
        found: list[Finding] = []
        count = 0
        for name, location in places_of_migrations(self.run.settings, "check").items():
            with self._empty(location, "migrations") as migrations:
                count += len(migrations.revisions)
                found += [in_bind(each, name) for each in check(migrations)]
        left = sum(checks.not_checked(finding) for finding in found)
        checked = f"{count - left} of {count}" if left else f"{count}"
        return Report(in_order(found), f"{checked} revisions, {what}.")

    @contextlib.contextmanager
    def _empty(self, location: Path, purpose: str) -> Iterator[Migrations]:
        server, settings = self.run.find_server(), self.run.settings
        application = self.run.run_databases[DEFAULT].application
        owned = databases.claim(
            server,
            f"{application}_{purpose}",
            worker=self.run.worker,
            owner=str(settings.root),
        )
        try:
            url = server.url_of(owned.name)
            through = self.run.building
            with through(url):
                schema.MetadataBuilder((), settings.extensions).build(url)
            with Migrations(location, url, through=through) as migrations:
                yield migrations
        finally:
            owned.drop()

    @contextlib.contextmanager
    def _interceptor_set_aside(self) -> Iterator[None]:
        """Remove this run's interceptor for the comparison, whose own run installs another."""
        self.run.interceptor.remove()
        try:
            yield
        finally:
            self.run.interceptor.install()
