"""What code under test does, and what then holds: every row of the table, with both drivers.

The tests themselves are those of ``tests/examples/sandbox_rows``, which reach the database by plain
sessions, by scoped sessions and by Flask-SQLAlchemy with two binds, on engines made at import time
from the production settings. Before and after each of them its conftest looks from inside and from
outside for anything that a test left or committed.
"""

from __future__ import annotations

import pytest

from tests.kit.integration.sandbox.conftest import DRIVERS, Cases, Development, RunRows
from tests.kit.nightly import by_night

THREE_WAYS = ["plain", "scoped", "web"]

ROWS = {
    "commit of any session, any engine, db.session in any app context": [
        "test_commit_is_visible_to_every_later_reader",
        "test_the_application_sees_what_the_test_arranged",
    ],
    "rollback after commits": ["test_rollback_undoes_only_its_own_transaction"],
    "IntegrityError, rollback, go on": ["test_work_goes_on_after_an_integrity_error"],
    "the test's own session rolls back after the application's commit": [
        "test_the_tests_own_rollback_leaves_the_applications_commit",
        "test_the_tests_own_rollback_leaves_an_open_transaction_of_the_application",
    ],
    "transaction left without commit, connection closed": [
        "test_a_forgotten_commit_is_seen",
        "test_a_forgotten_session_is_undone_when_nobody_holds_it",
        "test_a_session_left_open_at_the_end_of_its_test_leaves_nothing",
        "test_sessions_left_open_may_end_in_any_order",
    ],
    "engine.begin(), connect() and commit(), Core": [
        "test_engine_begin_commits_at_the_end_of_its_block",
        "test_connect_and_commit_as_you_go",
    ],
    "raw_connection() and commit(), rollback(), close": [
        "test_raw_connection_commits",
        "test_raw_connection_rolls_back",
        "test_raw_connection_closed_without_either",
        "test_a_failed_transaction_takes_nothing_but_a_rollback",
    ],
    "AUTOCOMMIT": [
        "test_autocommit_lets_each_statement_stand",
        "test_autocommit_beside_an_open_transaction",
    ],
    "a second engine; engine.dispose()": [
        "test_a_second_engine_is_in_the_same_transaction",
        "test_dispose_keeps_what_was_committed",
    ],
    "begin_nested(), any depth": [
        "test_nested_transactions_stand_and_fall_by_level",
        "test_a_rollback_takes_released_savepoints_with_it",
    ],
    "DDL": [
        "test_tables_made_by_a_test_are_there_for_the_rest_of_it",
        "test_drop_all_and_create_all",
        "test_truncate_and_alter_are_undone",
    ],
    "threads": ["test_threads_share_the_data_of_their_test"],
    "a deferred constraint violated at commit": [
        "test_a_deferred_constraint_is_checked_at_commit",
        "test_a_deferred_constraint_is_checked_at_an_autocommit_statement",
        "test_a_deferred_constraint_may_be_broken_until_commit",
        "test_an_initially_immediate_constraint_stays_immediate",
        "test_set_constraints_immediate_checks_at_once",
        "test_what_the_test_has_not_completed_does_not_fail_the_application",
    ],
}
"""The table's rows, and the tests that prove each in three ways."""

ONCE = {
    "db.session of several applications and binds": [
        "test_a_request_commits_to_all_binds",
        "test_an_error_in_one_bind_undoes_them_all",
        "test_two_applications_share_the_test",
    ],
    "AUTOCOMMIT of an engine and of a connection": [
        "test_autocommit_of_an_engine_and_of_one_connection",
        "test_transactions_by_sql_in_autocommit",
    ],
    "a thread that ends in its transaction": [
        "test_a_thread_that_ends_in_its_transaction_leaves_nothing"
    ],
    "LISTEN, SERIALIZABLE, CREATE INDEX CONCURRENTLY, VACUUM": [
        "test_what_needs_no_transaction_names_the_clone",
        "test_a_snapshot_of_ones_own_names_the_clone",
        "test_two_phase_commit_names_the_clone",
    ],
}
"""Rows whose tests do not depend on the way to the database."""


@pytest.fixture(
    scope="module",
    params=[DRIVERS[0], *by_night(*DRIVERS[1:])],
)
def cases(request: pytest.FixtureRequest, run_rows: RunRows) -> Cases:
    """What became of the tests of the project."""
    return run_rows(request.param, "tests")


@pytest.mark.nightly
@pytest.mark.parametrize("driver", DRIVERS)
def test_nothing_fails_in_workers_and_in_random_order(run_rows: RunRows, driver: str) -> None:
    """Workers import the tests before they have a database; one test of threads needs its order."""
    arguments = ["-p", "xdist", "-p", "randomly", "-n", "2", "--dist", "loadfile"]
    cases = run_rows(driver, *arguments, "tests", "--deselect=tests/test_threads.py")
    outcomes = {case.outcome for each in cases.values() for case in each}

    assert outcomes == {"passed", "skipped"}


def test_nothing_fails(cases: Cases) -> None:
    """Every test of the project passes, those of the other driver apart."""
    failing = [case for each in cases.values() for case in each if case.outcome != "passed"]

    assert {case.outcome for case in failing} == {"skipped"}, failing
    assert len(cases) > 80


def test_the_development_databases_saw_nobody(cases: Cases, development: Development) -> None:
    """Not one session and not one transaction, though every engine was made to go there."""
    before = development.counted

    assert development.counts() == before


@pytest.mark.parametrize("row", ROWS)
def test_a_row_holds_in_three_ways(cases: Cases, row: str) -> None:
    """By plain sessions, by scoped sessions and by Flask-SQLAlchemy."""
    for function in ROWS[row]:
        ways = sorted(case.name for case in cases[function] if case.outcome == "passed")
        assert ways == [f"{function}[{way}]" for way in THREE_WAYS]


@pytest.mark.parametrize("row", ONCE)
def test_a_row_holds(cases: Cases, row: str) -> None:
    """However the application reaches its database."""
    for function in ONCE[row]:
        assert {case.outcome for case in cases[function]} == {"passed"}
