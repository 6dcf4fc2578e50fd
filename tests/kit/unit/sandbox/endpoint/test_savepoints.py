"""The ledger of savepoints: what commit and rollback of each connection make of one transaction."""

from __future__ import annotations

import pytest

from pgsandbox.errors import TransactionsInterleaved
from pgsandbox.sandbox.endpoint.sessions import Savepoint
from tests.kit.nightly import by_night
from tests.kit.transactions import Row, Step
from tests.kit.unit.sandbox.endpoint.model import Ledger, play

SEEDS = pytest.mark.parametrize(
    "seeds", [range(500), *by_night(range(500, 1000))], ids=["500", "500 more"]
)


def _do(ledger: Ledger, *steps: str) -> None:
    """Take *steps* such as ``0 insert`` and ``1 rollback to s``; a row has its step's number."""
    for number, step in enumerate(steps, start=1):
        connection, verb = step.split(maxsplit=1)
        name = ""
        if verb[-2:] in (" s", " t"):
            verb, name = verb[:-2], verb[-1]
        ledger.do(Step(int(connection), verb, name, number))


def _rows(*numbers: int, of: int) -> frozenset[Row]:
    return frozenset(Row(of, number) for number in numbers)


# -- against production ----------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [10, 40, *by_night(5, 20)])
@pytest.mark.parametrize("breaks", [False, True], ids=["", "deferred"])
@SEEDS
def test_the_result_is_productions_or_a_named_error(steps: int, breaks: bool, seeds: range) -> None:
    """Three connections at random, compared after each step."""
    played = [play(seed, steps=steps, breaks=breaks) for seed in seeds]

    assert [each.difference for each in played if each.difference] == []
    assert sum(not each.is_interleaved for each in played) > 20
    assert {each.left for each in played} == {0}


@pytest.mark.parametrize("steps", [10, 40, *by_night(5, 20)])
@pytest.mark.parametrize("breaks", [False, True], ids=["", "deferred"])
@SEEDS
def test_the_tests_own_session_changes_nothing_for_the_others(
    steps: int, breaks: bool, seeds: range
) -> None:
    """Whatever the test arranges in between, the application's connections are as in production."""
    played = [play(seed, steps=steps, breaks=breaks, arranging=0) for seed in seeds]

    assert [each.difference for each in played if each.difference] == []
    assert sum(not each.is_interleaved for each in played) > 20


# -- rules -----------------------------------------------------------------------------------------


def test_a_commit_leaves_no_savepoint() -> None:
    """Nested savepoints are dear, released ones are not."""
    ledger = Ledger()
    _do(ledger, "0 insert", "0 savepoint s", "0 insert", "0 commit")

    assert ledger.stack.savepoints == []
    assert ledger.server.log[-1].startswith("RELEASE SAVEPOINT")


def test_a_transaction_takes_two_statements_more() -> None:
    """One savepoint, one release; nothing is asked where nobody else is around."""
    ledger = Ledger()
    _do(ledger, "0 read", "0 insert", "0 read", "0 commit")

    assert ledger.server.log == ["SAVEPOINT pgsandbox_1", "RELEASE SAVEPOINT pgsandbox_1"]


def test_many_savepoints_are_asked_about_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions of threads overlap without end, and each leaves a savepoint below the next."""
    compared = []
    ledger = Ledger()
    _do(ledger, "0 insert", *["1 read", "0 commit", "0 insert", "1 commit"] * 50, "1 read")
    depth = len(ledger.stack.savepoints)
    monkeypatch.setattr(
        Savepoint, "__eq__", lambda one, other: compared.append(other) or one is other
    )
    _do(ledger, "2 insert")

    assert depth > 100
    assert len(compared) < 10


def test_transactions_that_end_in_the_order_of_a_stack_are_exact() -> None:
    """The one that began last ends first."""
    ledger = Ledger()
    _do(ledger, "0 insert", "1 insert", "1 rollback", "2 insert", "2 commit", "0 commit")

    assert ledger.server.rows == _rows(1, of=0) | _rows(4, of=2)


def test_a_commit_below_an_open_transaction_stands() -> None:
    """The first commits, then the second rolls back."""
    ledger = Ledger()
    _do(ledger, "0 insert", "1 insert", "0 commit", "1 rollback")

    assert ledger.server.rows == _rows(1, of=0)


def test_a_rollback_below_somebody_who_only_read_is_exact() -> None:
    """Reads leave nothing that would be lost, and the reader goes on."""
    ledger = Ledger()
    _do(ledger, "0 insert", "1 read", "0 rollback", "1 insert", "1 commit")

    assert ledger.server.rows == _rows(4, of=1)


def test_a_rollback_of_who_only_read_is_nothing() -> None:
    """Whoever wrote above keeps it."""
    ledger = Ledger()
    _do(ledger, "0 read", "0 lock", "0 read", "1 insert", "1 commit", "0 rollback")

    assert ledger.server.rows == _rows(4, of=1)


@pytest.mark.parametrize("next_step", ["1 commit", "1 read", "2 read", "2 savepoint s"])
def test_a_rollback_below_somebody_who_wrote_is_refused(next_step: str) -> None:
    """One transaction can't undo what is below and keep what is above: nobody may go on."""
    ledger = Ledger()
    _do(ledger, "0 insert", "1 insert", "0 rollback")
    with pytest.raises(TransactionsInterleaved) as refused:
        _do(ledger, next_step)

    assert "connection 0: INSERT INTO rows" in str(refused.value)
    assert "connection 1: INSERT INTO rows" in str(refused.value)
    assert ledger.rows_of(1) == _rows(2, of=1)


@pytest.mark.parametrize(
    "last", [["1 rollback"], ["1 rollback to s", "1 commit"]], ids=["whole", "savepoint"]
)
def test_two_rollbacks_in_the_wrong_order_are_exact(last: list[str]) -> None:
    """Nobody looked in between, and nothing has to stay."""
    ledger = Ledger()
    _do(ledger, "0 insert", "1 savepoint s", "1 insert", "2 read", "0 rollback", *last)
    _do(ledger, "2 commit", "2 insert", "2 commit")

    assert ledger.server.rows == _rows(2, of=2)
    assert ledger.stack.savepoints == []


def test_going_back_to_a_savepoint_lets_a_rollback_below_happen() -> None:
    """It undoes all that stood in the way."""
    ledger = Ledger()
    _do(ledger, "0 insert", "1 savepoint s", "1 insert", "0 rollback", "1 rollback to s")
    _do(ledger, "1 insert", "1 commit")

    assert ledger.server.rows == _rows(1, of=1)


def test_who_wrote_below_may_commit_meanwhile() -> None:
    """Its rows are below what is still to be undone."""
    ledger = Ledger()
    _do(ledger, "2 insert", "0 insert", "1 insert", "0 rollback", "2 commit", "1 rollback")

    assert ledger.server.rows == _rows(1, of=2)


def test_a_rollback_below_somebodys_commit_is_refused() -> None:
    """Also when the other one has ended since."""
    ledger = Ledger()
    _do(ledger, "0 insert", "1 insert", "1 commit")
    with pytest.raises(TransactionsInterleaved) as refused:
        _do(ledger, "0 rollback")

    assert "connection 1: INSERT INTO rows" in str(refused.value)


def test_a_function_that_writes_in_a_read_counts_as_a_write() -> None:
    """The server is asked, since no text shows it."""
    ledger = Ledger()
    _do(ledger, "0 call", "1 insert", "1 commit")
    with pytest.raises(TransactionsInterleaved):
        _do(ledger, "0 rollback")


def test_a_function_that_writes_after_a_row_lock_counts_as_a_write() -> None:
    """A lock takes a transaction id as well; it must not hide the function's."""
    ledger = Ledger()
    _do(ledger, "0 lock", "0 call", "1 insert", "1 commit")
    with pytest.raises(TransactionsInterleaved):
        _do(ledger, "0 rollback")


def test_row_locks_and_reads_by_turns_do_not_pile_up() -> None:
    """Savepoints that turned out clean are released again."""
    ledger = Ledger()
    _do(ledger, *["0 lock", "0 read"] * 20)

    assert len(ledger.server.levels) < 6


def test_a_savepoint_survives_somebody_elses_rollback() -> None:
    """The server dropped it with what was below; it is set again when it is needed."""
    ledger = Ledger()
    _do(ledger, "1 insert", "0 read", "0 savepoint s", "1 rollback")
    _do(ledger, "0 insert", "0 rollback to s", "0 commit")

    assert ledger.server.rows == frozenset()


def test_a_released_savepoint_is_not_merged_into_somebody_elses_transaction() -> None:
    """What stands directly below may be another connection's by now."""
    ledger = Ledger()
    _do(ledger, "1 insert", "0 read", "0 savepoint s", "1 rollback", "1 insert", "0 insert")
    _do(ledger, "0 release s", "0 commit")
    with pytest.raises(TransactionsInterleaved):
        _do(ledger, "1 rollback")

    assert ledger.rows_of(0) == _rows(6, of=0)


def test_a_failed_statement_undoes_its_savepoint_only() -> None:
    """Going back to the savepoint makes the transaction usable again."""
    ledger = Ledger()
    _do(ledger, "0 insert", "0 savepoint s", "0 insert", "0 fail", "0 rollback to s", "0 commit")

    assert ledger.server.rows == _rows(1, of=0)


def test_a_commit_after_a_failed_statement_is_a_rollback() -> None:
    """As the server does."""
    ledger = Ledger()
    _do(ledger, "0 insert", "0 fail", "0 commit")

    assert ledger.server.rows == frozenset()


def test_what_a_failed_statement_undid_is_in_nobodys_way() -> None:
    """The failed transaction has nothing left to undo, whoever wrote above it."""
    ledger = Ledger()
    _do(ledger, "0 insert", "0 fail", "1 insert", "1 commit", "0 rollback")

    assert ledger.server.rows == _rows(3, of=1)


# -- the test's own session ------------------------------------------------------------------------


def test_a_rollback_of_the_test_below_a_commit_leaves_its_rows() -> None:
    """It only arranges data: the application's commit must stand, so the test's rows stay too."""
    ledger = Ledger(arranging=0)
    _do(ledger, "0 insert", "1 insert", "1 commit", "0 rollback")

    assert ledger.server.rows == _rows(1, of=0) | _rows(2, of=1)
    assert "rows that the test's own session flushed stay" in ledger.stack.notes[0]


def test_a_rollback_of_the_test_alone_is_a_rollback() -> None:
    """Where nobody else wrote since, it undoes what the test wrote."""
    ledger = Ledger(arranging=0)
    _do(ledger, "0 insert", "1 read", "0 rollback", "1 commit")

    assert ledger.server.rows == frozenset()
    assert ledger.stack.notes == []


def test_a_rollback_of_the_test_undoes_what_a_function_wrote() -> None:
    """Nobody wrote since, so the server can be asked."""
    ledger = Ledger(arranging=0)
    _do(ledger, "0 call", "1 read", "0 rollback", "1 commit")

    assert ledger.server.rows == frozenset()


def test_a_rollback_of_the_test_undoes_what_came_after_the_commit() -> None:
    """Only the rows below the application's commit have to stay."""
    ledger = Ledger(arranging=0)
    _do(ledger, "0 insert", "1 insert", "1 commit", "0 insert", "0 rollback")

    assert ledger.server.rows == _rows(1, of=0) | _rows(2, of=1)


def test_savepoints_of_the_test_keep_their_order() -> None:
    """The one that a commit of the application sealed is still below the other."""
    ledger = Ledger(arranging=0)
    _do(ledger, "0 savepoint s", "0 insert", "1 insert", "0 savepoint t", "0 insert")
    _do(ledger, "1 commit", "0 rollback to t", "0 rollback to s", "0 rollback to s", "0 commit")

    assert ledger.server.rows == _rows(2, of=0) | _rows(3, of=1)


def test_a_read_of_the_test_in_between_is_no_write() -> None:
    """The application reads nothing into it, and its rollback is exact."""
    ledger = Ledger(arranging=0)
    _do(ledger, "1 insert", "0 read", "1 insert", "1 rollback")

    assert ledger.server.rows == frozenset()


def test_an_applications_rollback_below_rows_of_the_test_is_refused() -> None:
    """What the test flushed in between can't be kept without the application's row."""
    ledger = Ledger(arranging=0)
    _do(ledger, "1 insert", "0 insert", "1 rollback")
    with pytest.raises(TransactionsInterleaved):
        _do(ledger, "0 commit")


# -- deferred constraints --------------------------------------------------------------------------


def test_a_commit_checks_and_defers_again_by_name() -> None:
    """ALL DEFERRED would also defer what is immediate initially."""
    ledger = Ledger(deferred=True)
    _do(ledger, "0 insert", "0 commit")

    assert ledger.server.log[1] == (
        "SAVEPOINT pgsandbox_check; SET CONSTRAINTS ALL IMMEDIATE; "
        "SET CONSTRAINTS public.c DEFERRED; RELEASE SAVEPOINT pgsandbox_check"
    )


def test_a_commit_of_who_wrote_nothing_checks_nothing() -> None:
    """Neither its own rows, of which there are none, nor somebody else's."""
    ledger = Ledger(deferred=True)
    _do(ledger, "1 savepoint s", "0 break")

    assert ledger.do(Step(1, "commit")) is False
    assert ledger.do(Step(0, "commit")) is True


def test_rows_of_the_test_that_break_a_constraint_fail_nobody_else() -> None:
    """They may be completed later, so the application's commits pass, as often as it likes."""
    ledger = Ledger(arranging=0, deferred=True)
    _do(ledger, "0 break", "1 insert")
    first = ledger.do(Step(1, "commit"))
    _do(ledger, "2 read", "2 insert")

    assert first is False
    assert ledger.do(Step(2, "commit")) is False


def test_a_look_at_others_rows_changes_no_constraints_mode() -> None:
    """It is undone, because somebody may have said SET CONSTRAINTS."""
    ledger = Ledger(deferred=True)
    _do(ledger, "0 insert", "1 insert")

    assert "ROLLBACK TO SAVEPOINT pgsandbox_look; RELEASE SAVEPOINT pgsandbox_look" in (
        ledger.server.log
    )
