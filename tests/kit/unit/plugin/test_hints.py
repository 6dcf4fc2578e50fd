"""What a hint is given for, and what looks like it and is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgsandbox.plugin import hints
from pgsandbox.plugin.failure_report import transactions_of
from pgsandbox.sandbox.statement_places import StatementPlaces


def _statement(text: str, connection: str = "one", **more: Any) -> dict[str, Any]:
    return {
        "text": text,
        "at": 0.0,
        "tag": "",
        "connection": connection,
        "token": "",
        "transaction": 0,
        "outcome": "committed",
        "is_undone": False,
        "is_arranging": False,
        "error": None,
        **more,
    }


def _story(*statements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"now": None, "sequences": {}, "statements": statements, "reads": [], **more}


def _hints(
    failing: Callable[[], None],
    story: dict[str, Any],
    *,
    restarts: bool = False,
    moves: bool = False,
) -> list[str]:
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # of whatever kind
        failing()
    failure = caught.value
    transactions, places = [*transactions_of(story)], StatementPlaces()
    found = hints.of(
        failure, story, transactions, places, restarts_sequences=restarts, moves_clock=moves
    )
    return list(found)


def _wrong_id() -> None:
    number = type("Row", (), {"id": 3})().id
    raise AssertionError(f"assert {number} == 1")


def _wrong_count() -> None:
    ids = [1, 2, 3]
    number = len(ids)
    raise AssertionError(f"assert {number} == 1")


def _nothing_raised() -> None:
    pytest.fail("DID NOT RAISE <class 'Exception'>")


def _plain() -> None:
    raise AssertionError("assert 2 == 3")


_INSERT = _statement("INSERT INTO items", tag="INSERT 0 1")
_GIVEN = {"items_id_seq": 3}


def test_an_id_that_is_not_one() -> None:
    """The number is one that a sequence has given, and the test calls it an id."""
    (hint,) = _hints(_wrong_id, _story(_INSERT, sequences=_GIVEN))

    assert "restart-sequences = true" in hint


@pytest.mark.parametrize(
    ("failing", "story", "restarts"),
    [
        (_wrong_count, _story(_INSERT, sequences=_GIVEN), False),
        (_wrong_id, _story(_INSERT, sequences={"items_id_seq": 2}), False),
        (_wrong_id, _story(sequences=_GIVEN), False),
        (_wrong_id, _story(_INSERT, sequences=_GIVEN), True),
    ],
    ids=["a count", "a higher number", "no insert", "sequences begin anew"],
)
def test_what_is_no_id(failing: Callable[[], None], story: dict[str, Any], restarts: bool) -> None:
    """One of the signs is missing."""
    assert _hints(failing, story, restarts=restarts) == []


_DUE = {"connection": "two", "transaction": 1, "tag": "SELECT 0"}


@pytest.mark.parametrize(
    "text",
    [
        "select * from jobs where due < now()",
        "select * from jobs where seen <= (NOW ( ) - $1)",
        "select * from jobs where current_timestamp - seen > interval '3 s'",
    ],
)
def test_a_query_that_finds_nothing_older_than_now(text: str) -> None:
    """A queue looks for what was due before its transaction began."""
    within = _statement("with one as (insert into jobs values (1)) select 1", tag="SELECT 1")
    asks = _statement(text, **_DUE)

    assert 'clock = "moving"' in _hints(_plain, _story(_INSERT, asks))[0]
    assert 'clock = "moving"' in _hints(_plain, _story(within, asks))[0]


def test_what_does_not_ask_for_older_rows() -> None:
    """One of the signs is missing."""
    asks = _statement("select * from jobs where due < now()", **_DUE)
    found = {**asks, "tag": "SELECT 1"}
    sets = _statement(
        "update jobs set due = now() + $1 where id > 3", **{**_DUE, "tag": "UPDATE 0"}
    )
    newer = _statement("select * from jobs where made > now() - $1", **_DUE)
    undone = {**_INSERT, "is_undone": True}

    assert _hints(_plain, _story(_INSERT, asks), moves=True) == []
    assert _hints(_plain, _story(_INSERT, found)) == []
    assert _hints(_plain, _story(_INSERT, sets)) == []
    assert _hints(_plain, _story(_INSERT, newer)) == []
    assert _hints(_plain, _story(undone, asks)) == []
    assert _hints(_plain, _story(asks)) == []
    assert _hints(_nothing_raised, _story(_INSERT, asks)) == []


def test_a_lock_that_two_connections_take() -> None:
    """One that takes it twice would not wait in production either."""
    lock = "select 1 from items for no key update"
    two = _story(_statement(lock), _statement(lock, "two"))
    one = _story(_statement(lock), _statement(lock))

    assert "never waits for its own locks" in _hints(_nothing_raised, two)[0]
    assert _hints(_nothing_raised, one) == []
    assert _hints(_plain, two) == []


def test_rows_that_nothing_committed() -> None:
    """Unless something was refused, or the test's own session wrote them."""
    lost = {"tag": "INSERT 0 1", "outcome": "rolled back"}
    refused = _statement("INSERT INTO items", "one", **lost, error={"C": "23505"})

    assert "were rolled back" in _hints(_plain, _story(_statement("insert", **lost)))[0]
    assert _hints(_plain, _story(_statement("insert", **lost), refused)) == []
    assert _hints(_plain, _story(_statement("insert", is_arranging=True, **lost))) == []
    assert _hints(_plain, _story(_INSERT)) == []


def _read(seen: list[str], unseen: list[str]) -> dict[str, Any]:
    read = {"reader": "an engine (connection 4)", "writer": "an engine (connection 3)"}
    return {"reads": [{**read, "table": "items", "seen": seen, "unseen": unseen}]}


@pytest.mark.parametrize(
    ("said", "seen", "unseen"),
    [
        ("assert 1 == 0", ["1"], ["0"]),
        ("1 != 0", ["1"], ["0"]),
        ("assert 2 == 1\n +  where 2 = len([(1,), (2,)])", ["2", "tea", "2"], ["1"]),
        ("assert [(7, 'tea')] == []", ["7", "tea", "1"], ["0"]),
        ("[(7, 'tea')]\nassert [(7, 'tea')] == []", ["7", "tea", "1"], ["0"]),
        ("assert <shop.Item object at 0x7f01> is None", ["7", "tea", "1"], ["0"]),
        ("assert not [<shop.Item object at 0x7f01>]", ["7", "tea", "1"], ["0"]),
        ("assert 'tea' not in ['tea']", ["tea", "1"], ["0"]),
    ],
)
def test_a_test_that_expects_what_real_connections_see(
    said: str, seen: list[str], unseen: list[str]
) -> None:
    """The failure has what the read would have said without the uncommitted rows."""

    def fails() -> None:
        raise AssertionError(said)

    lost = _statement("insert into items", tag="INSERT 0 1", outcome="rolled back")
    (hint,) = _hints(fails, _story(lost, **_read(seen, unseen)))

    assert hint.startswith('connection 4 read rows of "items" that connection 3 had not committed')


@pytest.mark.parametrize(
    ("said", "seen", "unseen"),
    [
        ("assert 1 == 2", ["1"], ["0"]),
        ("assert 2 == 3\n +  where 3 = len([1, 2, 3])", ["2"], ["1"]),
        ("assert None == 'tea'", ["7", "tea", "1"], ["0"]),
        ("assert [] == ['tea']", ["7", "tea", "1"], ["0"]),
        ("assert <shop.Item object at 0x7f01> is not None", ["7", "tea", "1"], ["0"]),
        ("assert ['tea'] == ['tea', 'milk']", ["2", "milk", "2"], ["1"]),
        ("", ["1"], ["0"]),
    ],
)
def test_a_failure_that_has_nothing_to_do_with_a_dirty_read(
    said: str, seen: list[str], unseen: list[str]
) -> None:
    """It would have failed on real connections, too."""

    def fails() -> None:
        raise AssertionError(said)

    assert _hints(fails, _story(_INSERT, **_read(seen, unseen))) == []
