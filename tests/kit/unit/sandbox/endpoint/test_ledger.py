"""What the server's answers say of the rows that were written, and what savepoints take back."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint import ledger
from pgsandbox.sandbox.endpoint.server import Outcome
from pgsandbox.sandbox.endpoint.sessions import ClientSession, Executed


def _sent(text: str, tag: bytes = b"", session: ClientSession | None = None) -> Executed:
    return Executed(text, "a connection", session=session, tag=tag)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("insert into t", b"INSERT 0 1"),
        ("update t", b"UPDATE 10"),
        ("delete from t", b"DELETE 2"),
        ("merge into t", b"MERGE 3"),
        ("copy t from stdin", b"COPY 5"),
    ],
)
def test_tags_that_say_that_rows_were_written(text: str, tag: bytes) -> None:
    """Each has their number at its end."""
    assert ledger.writes_rows(_sent(text, tag))


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("insert into t", b"INSERT 0 0"),
        ("update t", b"UPDATE 0"),
        ("select 1", b"SELECT 1"),
        ("create table t ()", b"CREATE TABLE"),
        ("copy t to stdout", b"COPY 5"),
        ("copy (select 1) to '/tmp/file'", b"COPY 1"),
        ("begin", b""),
    ],
)
def test_tags_that_say_nothing_of_the_kind(text: str, tag: bytes) -> None:
    """No row, a read, a definition, or none at all."""
    assert not ledger.writes_rows(_sent(text, tag))


def test_answers_are_given_in_order() -> None:
    """Of several statements in one message the first one without a tag has failed."""
    sent = [_sent("insert into t"), _sent("update t"), _sent("delete from t")]
    has_written = ledger.answer(waiting := [*sent], Outcome(error=b"no", tags=[b"INSERT 0 1"]))

    assert has_written
    assert [each.tag for each in sent] == [b"INSERT 0 1", b"", b""]
    assert [each.error for each in sent] == [b"", b"no", b""]
    assert waiting == []


def test_going_back_undoes_what_came_after() -> None:
    """Of this session only; the savepoint stays, and those above it go."""
    session, other = ClientSession("one"), ClientSession("two")
    book = ledger.Ledger()
    for text, who in [("a", session), ("b", other), ("c", session)]:
        book.record(who, text)
    session.marks = [("outer", 0), ("inner", 1), ("innermost", 3)]
    book.rolled_back(session, "inner")

    assert [each.is_undone for each in book.executed] == [False, False, True]
    assert session.marks == [("outer", 0), ("inner", 1)]
