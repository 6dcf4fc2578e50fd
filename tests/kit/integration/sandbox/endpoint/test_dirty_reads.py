"""Which reads have seen what another client has not committed, and that asking leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox, vacuum

Connect = Callable[[], psycopg.Connection[Any]]


@pytest.fixture(scope="module", autouse=True)
def small_tables(database: tuple[str, str]) -> None:
    """Large tables are not looked through."""
    vacuum(database)


@pytest.fixture
def connect(sandbox: Sandbox) -> Connect:
    """One more client, by the extended protocol."""

    def connect() -> psycopg.Connection[Any]:
        host = str(sandbox.process.folder)
        made = psycopg.connect(host=host, user="postgres", dbname=sandbox.database)
        return sandbox.stack.enter_context(made)

    return connect


def _reads(sandbox: Sandbox) -> list[tuple[str, str]]:
    """The statements that have read such rows, each with the first write."""
    seen = sandbox.process.call("seen") or {"reads": []}
    return [(each["read"]["text"], each["writes"][0]["text"]) for each in seen["reads"]]


def _held(sandbox: Sandbox) -> list[str]:
    """What is written and not committed."""
    seen = sandbox.process.call("seen") or {"held": []}
    return [one["text"] for each in seen["held"] for one in each["writes"]]


def test_a_read_that_sees_such_a_row(sandbox: Sandbox, connect: Connect) -> None:
    """With parameters; once for each pair of connections."""
    writer, reader = connect(), connect()
    writer.execute("insert into items values (1, 'tea')")
    asked = "select name from items where id = %s"
    found = [reader.execute(asked, (1,)).fetchall() for _ in range(2)]

    assert found == [[("tea",)], [("tea",)]]
    assert _reads(sandbox) == [
        ("select name from items where id = $1", "insert into items values (1, 'tea')")
    ]


@pytest.mark.parametrize(
    "asked",
    [
        "select name from items where id = 2",
        "select count(*) from items where name = 'milk'",
        "select 1",
        "select random() from items",
        "select 'items'",
    ],
)
def test_a_read_that_would_see_the_same(sandbox: Sandbox, connect: Connect, asked: str) -> None:
    """Other rows, no rows, or something else each time."""
    writer, reader = connect(), connect()
    reader.execute("insert into items values (2, 'milk')")
    reader.commit()
    writer.execute("insert into items values (1, 'tea')")
    reader.execute(asked).fetchall()

    assert _reads(sandbox) == []
    assert _held(sandbox) == ["insert into items values (1, 'tea')"]


@pytest.mark.parametrize(
    "asked",
    [
        "SELECT items.name FROM items ORDER BY id LIMIT 1",
        "with found as (select * from items) select count(*) from found",
        "with recursive found as (select * from items) select count(*) from found",
        "(select name from items) union (select 'none')",
        "select (select max(name) from items)",
        'select "items"."name" from "items"',
    ],
)
def test_ways_to_ask(sandbox: Sandbox, connect: Connect, asked: str) -> None:
    """Whatever the statement begins with."""
    writer, reader = connect(), connect()
    writer.execute("insert into items values (1, 'tea')")
    reader.execute(asked).fetchall()

    assert [read for read, _ in _reads(sandbox)] == [asked]


def test_a_row_that_was_changed(sandbox: Sandbox, connect: Connect) -> None:
    """In production the reader would have seen the old one."""
    writer, reader = connect(), connect()
    reader.execute("insert into items values (1, 'tea'), (2, 'milk')")
    reader.commit()
    writer.execute("update items set name = 'coffee' where id = 1")
    reader.execute("select name from items where id = 2").fetchall()
    before = _reads(sandbox)
    reader.execute("select name from items where id = 1").fetchall()

    assert before == []
    assert len(_reads(sandbox)) == 1


def test_what_others_commit_above_is_none_of_the_writers(
    sandbox: Sandbox, connect: Connect
) -> None:
    """The rows of each are known by the savepoint that they were written in."""
    writer, other, reader = connect(), connect(), connect()
    writer.execute("insert into items values (1, 'tea')")
    other.execute("insert into items values (2, 'milk')")
    other.commit()
    reader.execute("select name from items where id = 2").fetchall()
    before = _reads(sandbox)
    writer.execute("insert into items values (3, 'coffee')")
    reader.execute("select name from items where id = 3").fetchall()

    assert before == []
    assert len(_reads(sandbox)) == 1


def test_what_went_back_to_a_savepoint_is_not_held(sandbox: Sandbox, connect: Connect) -> None:
    """Neither is what a released one held forgotten."""
    writer, reader = connect(), connect()
    with writer.transaction(), writer.transaction(force_rollback=True):
        writer.execute("insert into items values (1, 'tea')")
    with writer.transaction():
        with writer.transaction():
            writer.execute("insert into items values (2, 'milk')")
        reader.execute("select name from items").fetchall()
        held = _held(sandbox)

    assert held == ["insert into items values (2, 'milk')"]
    assert [write for _, write in _reads(sandbox)] == held


def test_the_question_leaves_nothing(sandbox: Sandbox, connect: Connect) -> None:
    """The reader goes on, and can be rolled back below what the writer does then."""
    writer, reader = connect(), connect()
    writer.execute("insert into items values (1, 'tea')")
    with reader.transaction():
        reader.execute("select name from items for update").fetchall()
        reader.execute("select name from items").fetchall()
    reader.execute("select name from items").fetchall()
    writer.execute("insert into items values (2, 'milk')")
    reader.rollback()
    writer.commit()
    numbers = reader.execute("select id from items order by id").fetchall()

    assert numbers == [(1,), (2,)]
    assert _held(sandbox) == []


def test_nobody_asks_where_nobody_wants_to_know(sandbox: Sandbox, connect: Connect) -> None:
    """The marker of a test, or the setting, says so."""
    sandbox.process.call("enter", test="another", looks_for_uncommitted=False)
    writer, reader = connect(), connect()
    writer.execute("insert into items values (1, 'tea')")
    reader.execute("select name from items").fetchall()

    assert sandbox.process.call("seen") is None


def test_what_a_function_writes_is_held(sandbox: Sandbox, connect: Connect) -> None:
    """Its statement has the tag of a read; rows of temporary tables do not count."""
    one, other = connect(), connect()
    one.execute("create function add() returns void language sql as 'insert into items values (1)'")
    one.commit()
    one.execute("select add()")
    other.execute("create temporary table parts (n int)")
    other.execute("with made as (insert into parts values (1) returning n) select n from made")

    assert _held(sandbox) == ["select add()"]
