"""What makes a test fail whatever its own assertions say, and that the next one is clean.

The tests that fail are those of ``tests/examples/sandbox_rows/failing``. Before each of them the
project's conftest looks from inside and from outside for what an earlier one left.
"""

from __future__ import annotations

import pytest

from tests.kit.integration.sandbox.conftest import DRIVERS, Case, Cases, RunRows
from tests.kit.nightly import by_night

CLONE = '@pytest.mark.pgsandbox(isolation="clone")'

EXPECTED = {
    "test_interleaved": [
        "TransactionsInterleaved: Two transactions interleaved",
        "(connection 2): INSERT INTO items",
        "(connection 3): INSERT INTO items",
        CLONE,
    ],
    "test_interleaved_by_a_reader": [
        "TransactionsInterleaved: Two transactions interleaved",
        "(connection 2): INSERT INTO items",
        "(connection 3): INSERT INTO items",
        CLONE,
    ],
    "test_interleaved_and_swallowed": ["TransactionsInterleaved", "INSERT INTO items", CLONE],
    "test_interleaved_by_an_error": [
        "TransactionsInterleaved",
        "INSERT INTO parts",
        "INSERT INTO items",
        CLONE,
    ],
    "test_interleaved_by_a_savepoint": ["TransactionsInterleaved", "INSERT INTO items", CLONE],
    "test_interleaved_by_a_connection_that_nobody_holds": ["TransactionsInterleaved", CLONE],
    "test_interleaved_by_sql": ["TransactionsInterleaved", CLONE],
    "test_a_commit_that_hides": [
        "OuterTransactionEnded: A statement ended the transaction",
        "as 'select 1'; commit",
        CLONE,
    ],
    "test_deferred": ["DeferredConstraintViolated", "parts_item"],
    "test_deferred_behind_another": ["DeferredConstraintViolated", "parts_item"],
    "test_escaped": ["EscapedFromSandbox", "items: ", CLONE],
    "test_escaped_table": ["EscapedFromSandbox", "pg_class", CLONE],
    "test_advisory_lock": ["EscapedFromSandbox", "(0, 4711) ExclusiveLock"],
    "test_cut": ["SandboxLost: The connection that holds the test was cut", CLONE],
    "test_cut_between_statements": ["SandboxLost: The connection that holds the test was cut"],
}
"""The tests that fail, and what their reports say."""


@pytest.fixture(scope="module", params=[DRIVERS[0], *by_night(*DRIVERS[1:])])
def cases(request: pytest.FixtureRequest, run_rows: RunRows) -> Cases:
    """What became of the tests that fail."""
    return run_rows(request.param, "failing")


def _case(cases: Cases, name: str) -> Case:
    (found,) = [case for case in cases[name.partition("[")[0]] if case.name == name]
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_the_test_fails_and_its_report_says_why(cases: Cases, name: str) -> None:
    """The class of the error, what collided or ended, and the way out."""
    case = _case(cases, name)

    assert case.outcome in ("failure", "error")
    for words in EXPECTED[name]:
        assert words in case.text


@pytest.mark.parametrize("name", EXPECTED)
def test_what_follows_is_clean(cases: Cases, name: str) -> None:
    """No test meets what an earlier one left: its own fixtures would have failed."""
    assert "nothing_remains" not in _case(cases, name).text


def test_every_failing_test_is_expected(cases: Cases) -> None:
    """Whatever is added to the project says here what it is to say."""
    failing = {c.name for each in cases.values() for c in each if c.outcome != "passed"}

    assert failing == set(EXPECTED)
    assert _case(cases, "test_the_last_one_is_clean").outcome == "passed"
