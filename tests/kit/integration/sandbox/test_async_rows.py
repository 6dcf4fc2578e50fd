"""The table's rows by asynchronous sessions, with asyncpg and psycopg, on every kind of event loop.

The tests themselves are those of ``tests/examples/async_rows``, whose engines are made at import
time from production settings. They run with every warning an error, until the interpreter exits.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kit.integration.plugin.projects import Outcome, Project
from tests.kit.integration.recorded import EXAMPLES
from tests.kit.integration.sandbox.conftest import (
    ASYNCHRONOUS,
    Case,
    Cases,
    Development,
    RunRows,
)
from tests.kit.nightly import by_night

PLUGINS = ("-p", "pytest_asyncio.plugin")
CLONE = '@pytest.mark.pgsandbox(isolation="clone")'
TWO_WAYS = ["plain", "scoped"]

ROWS = {
    "commit of any session, any engine": [
        "test_commit_is_visible_to_every_later_reader",
        "test_the_application_sees_what_the_test_arranged",
    ],
    "rollback after commits": ["test_rollback_undoes_only_its_own_transaction"],
    "IntegrityError, rollback, go on": ["test_work_goes_on_after_an_integrity_error"],
    "the test's own session rolls back after the application's commit": [
        "test_the_tests_own_rollback_leaves_the_applications_commit"
    ],
    "transaction left without commit, connection closed": [
        "test_a_forgotten_commit_is_seen",
        "test_a_session_left_open_at_the_end_of_its_test_leaves_nothing",
        "test_a_leaked_session_is_collected_late",
    ],
    "engine.begin(), connect() and commit(), Core": [
        "test_engine_begin_commits_at_the_end_of_its_block",
        "test_connect_and_commit_as_you_go",
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
    "DDL, run_sync": [
        "test_tables_made_by_a_test_are_there_for_the_rest_of_it",
        "test_drop_all_and_create_all",
        "test_truncate_and_alter_are_undone",
    ],
    "server-side cursors": ["test_a_stream_reads_row_by_row"],
    "tasks": [
        "test_tasks_share_the_data_of_their_test",
        "test_a_time_limit_ends_a_statement",
        "test_a_cancelled_task_that_waits_for_another",
        "test_the_task_that_is_cancelled_had_written_before",
        "test_the_loop_goes_on_while_a_statement_runs",
    ],
    "a deferred constraint violated at commit": [
        "test_a_deferred_constraint_is_checked_at_commit",
        "test_a_deferred_constraint_may_be_broken_until_commit",
        "test_a_deferred_constraint_is_checked_at_an_autocommit_statement",
    ],
}
"""The table's rows, and the tests that prove each in two ways."""

EXPECTED = {
    "test_interleaved": ["TransactionsInterleaved", "(connection 2)", "(connection 3)", CLONE],
    "test_interleaved_by_a_reader": ["TransactionsInterleaved", "INSERT INTO items", CLONE],
    "test_interleaved_and_swallowed": ["TransactionsInterleaved", "INSERT INTO items", CLONE],
    "test_interleaved_by_an_error": ["TransactionsInterleaved", "INSERT INTO parts", CLONE],
    "test_interleaved_by_cancelling": ["TransactionsInterleaved", "INSERT INTO items", CLONE],
    "test_a_commit_that_hides": [
        "OuterTransactionEnded: A statement ended the transaction",
        "as 'select 1'; commit",
        CLONE,
    ],
    "test_deferred": ["DeferredConstraintViolated", "parts_item"],
    "test_escaped": ["EscapedFromSandbox", "items: ", CLONE],
    "test_advisory_lock": ["EscapedFromSandbox", "(0, 4711) ExclusiveLock"],
    "test_cut": ["SandboxLost: The connection that holds the test was cut", CLONE],
    "test_cut_between_statements": ["SandboxLost: The connection that holds the test was cut"],
}
"""The tests that fail, and what their reports say."""


@pytest.fixture(scope="module", params=[ASYNCHRONOUS[0], *by_night(*ASYNCHRONOUS[1:])])
def driver(request: pytest.FixtureRequest) -> str:
    """The driver of the application."""
    return str(request.param)


@pytest.fixture(scope="module")
def cases(driver: str, run_rows: RunRows) -> Cases:
    """What became of the tests of the project."""
    return run_rows(driver, *PLUGINS, "tests", project="async_rows")


@pytest.fixture(scope="module")
def failures(driver: str, run_rows: RunRows) -> Cases:
    """What became of the tests that fail."""
    return run_rows(driver, *PLUGINS, "failing", project="async_rows")


def _case(cases: Cases, name: str) -> Case:
    (found,) = [case for case in cases[name.partition("[")[0]] if case.name == name]
    return found


def test_nothing_fails(cases: Cases) -> None:
    """Every test of the project passes, those of the other driver apart."""
    failing = [case for each in cases.values() for case in each if case.outcome != "passed"]

    assert {case.outcome for case in failing} == {"skipped"}, failing
    assert len(cases) > 50


def test_the_development_database_saw_nobody(cases: Cases, development: Development) -> None:
    """Not one session, not one transaction, although the engines were made from its URL."""
    before = development.counted

    assert development.counts() == before


@pytest.mark.parametrize("row", ROWS)
def test_a_row_holds_in_two_ways(cases: Cases, row: str) -> None:
    """By plain sessions and by scoped ones."""
    for function in ROWS[row]:
        ways = sorted(case.name for case in cases[function] if case.outcome == "passed")
        assert ways == [f"{function}[{way}]" for way in TWO_WAYS]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_test_fails_and_its_report_says_why(failures: Cases, name: str) -> None:
    """The class of the error, what collided or ended, and the way out; the next one is clean."""
    case = _case(failures, name)

    assert case.outcome in ("failure", "error")
    assert "nothing_remains" not in case.text
    for words in EXPECTED[name]:
        assert words in case.text


def test_every_failing_test_is_expected(failures: Cases) -> None:
    """Whatever is added to the project says here what it is to say."""
    failing = {c.name for each in failures.values() for c in each if c.outcome != "passed"}

    assert failing == set(EXPECTED)
    assert _case(failures, "test_the_last_one_is_clean").outcome == "passed"


@pytest.fixture(scope="module")
def example(driver: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run of the site's example, with every warning an error until the interpreter exits."""
    path = tmp_path_factory.mktemp("example") / "asynchronous"
    shutil.copytree(EXAMPLES / "asynchronous", path)
    return _run(path, tmp_path_factory, driver, "-p", "anyio", "-v")


def _run(
    path: Path, tmp_path_factory: pytest.TempPathFactory, driver: str, *arguments: str
) -> Outcome:
    project = Project(path)
    environ = {"TICKETS_DRIVER": driver, "PYTHONWARNINGS": "error", "PYTHONASYNCIODEBUG": "1"}
    return project.run("--pg-server=embedded", *PLUGINS, *arguments, **environ)


def test_the_example_passes(example: Outcome) -> None:
    """Nothing is warned of, not even when the interpreter exits, in asyncio's debug mode."""
    assert example.code == 0, example.text
    assert set(example.counts) == {"passed"}
    assert not example.err
