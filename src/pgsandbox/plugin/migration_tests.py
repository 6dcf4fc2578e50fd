"""Ready-made tests of a project's migrations.

One line in a file of tests switches them on::

    from pgsandbox.plugin.migration_tests import *

Whoever does not want one of them imports the others by name. Each makes the databases that it
needs, in milliseconds, and drops them; none touches the test database.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pgsandbox.reports import Report
from pgsandbox.schema.checks import MigrationRows

if TYPE_CHECKING:
    from pgsandbox.migration_checks import MigrationChecks

__all__ = [
    "MigrationRows",
    "test_migrations_build_an_empty_database",
    "test_migrations_do_offline_what_they_do_online",
    "test_migrations_go_down_and_up_again",
    "test_migrations_have_one_head",
    "test_migrations_keep_rows",
    "test_migrations_leave_nothing_at_base",
    "test_migrations_lock_no_large_table",
    "test_migrations_make_what_the_models_say",
]


class LongLock(UserWarning):
    """A migration would keep a large table locked for long."""


def test_migrations_have_one_head(pgsandbox_migrations: MigrationChecks) -> None:
    """``alembic upgrade head`` knows where to go."""
    _fail_with(pgsandbox_migrations.single_head())


def test_migrations_build_an_empty_database(pgsandbox_migrations: MigrationChecks) -> None:
    """Every revision runs on a new machine."""
    _fail_with(pgsandbox_migrations.upgrade())


def test_migrations_go_down_and_up_again(pgsandbox_migrations: MigrationChecks) -> None:
    """Each downgrade undoes its upgrade, to the last detail of the catalog, and can be repeated."""
    _fail_with(pgsandbox_migrations.every_step())


def test_migrations_leave_nothing_at_base(pgsandbox_migrations: MigrationChecks) -> None:
    """``alembic downgrade base`` leaves an empty database."""
    _fail_with(pgsandbox_migrations.nothing_left())


def test_migrations_make_what_the_models_say(pgsandbox_migrations: MigrationChecks) -> None:
    """What autogenerate sees, and what it does not: ``pgsandbox schema diff`` finds nothing."""
    _fail_with(pgsandbox_migrations.models_match())


def test_migrations_do_offline_what_they_do_online(
    pgsandbox_migrations: MigrationChecks,
) -> None:
    """The SQL of ``alembic upgrade head --sql`` makes the same database."""
    _fail_with(pgsandbox_migrations.offline_is_online())


def test_migrations_keep_rows(
    pgsandbox_migrations: MigrationChecks,
    pgsandbox_migration_rows: Sequence[MigrationRows],
) -> None:
    """The rows of the fixture ``pgsandbox_migration_rows`` arrive, and come back."""
    if not pgsandbox_migration_rows:
        pytest.skip("the project's fixture pgsandbox_migration_rows gives no rows")
    _fail_with(pgsandbox_migrations.rows_survive(pgsandbox_migration_rows))


def test_migrations_lock_no_large_table(pgsandbox_migrations: MigrationChecks) -> None:
    """What would lock a table of the setting ``large-tables`` for long is a warning."""
    if not pgsandbox_migrations.run.settings.large_tables:
        pytest.skip("the setting large-tables names none")
    for finding in pgsandbox_migrations.long_locks().findings:
        text = f"{finding.path}: {finding.subject}: {finding.message} {finding.remedy}"
        warnings.warn(LongLock(text), stacklevel=1)


def _fail_with(report: Report) -> None:
    __tracebackhide__ = True
    if report.findings:
        pytest.fail(report.text(), pytrace=False)
