"""What a SQL text does to its transaction."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.statements import (
    Kind,
    classify,
    is_transaction_control,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("COMMIT", Kind.COMMIT),
        ("  commit work ; ", Kind.COMMIT),
        ("Commit And Chain", Kind.COMMIT),
        ("commit transaction and no chain", Kind.COMMIT),
        ("END", Kind.COMMIT),
        ("-- done\nCOMMIT", Kind.COMMIT),
        ("/* a /* b */ c */ COMMIT /* d */", Kind.COMMIT),
        ("rollback", Kind.ROLLBACK),
        ("ABORT TRANSACTION", Kind.ROLLBACK),
        ("rollback and chain", Kind.ROLLBACK),
        ("begin", Kind.BEGIN),
        ("BEGIN TRANSACTION READ WRITE, DEFERRABLE", Kind.BEGIN),
        ("start transaction isolation level read committed", Kind.BEGIN),
        ("prepare transaction 'x'", Kind.TWO_PHASE),
        ("COMMIT PREPARED 'x'", Kind.TWO_PHASE),
        ("rollback prepared 'x'", Kind.TWO_PHASE),
    ],
)
def test_transaction_control(text: str, kind: Kind) -> None:
    """In any spelling, with comments around it, it never reaches the server."""
    assert classify(text).kind is kind
    assert is_transaction_control(text)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("savepoint a", Kind.SAVEPOINT, "a"),
        ("SAVEPOINT Sa_1", Kind.SAVEPOINT, "sa_1"),
        ('SAVEPOINT "A b"', Kind.SAVEPOINT, "A b"),
        ('savepoint "a""b"', Kind.SAVEPOINT, 'a"b'),
        ("release a", Kind.RELEASE, "a"),
        ("RELEASE SAVEPOINT a;", Kind.RELEASE, "a"),
        ("rollback to a", Kind.ROLLBACK_TO, "a"),
        ("ROLLBACK WORK TO SAVEPOINT a", Kind.ROLLBACK_TO, "a"),
    ],
)
def test_savepoints(text: str, kind: Kind, name: str) -> None:
    """Their names are folded as the server folds them."""
    statement = classify(text)

    assert (statement.kind, statement.name) == (kind, name)


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "  (select 1) union (select 2)",
        "-- why\nSELECT * FROM a",
        "values (1)",
        "table a",
        "show search_path",
        "fetch 10 from c",
        "declare c cursor for select 1",
        "with a as (select 1) select * from a",
        "explain select 1",
        "set search_path to a",
        "SET LOCAL statement_timeout = '5s'",
        "reset all",
        "select set_config('a.b', 'c', true)",
    ],
)
def test_what_leaves_nothing_to_undo(text: str) -> None:
    """Whether a function of it writes, only the server knows."""
    assert classify(text).kind is Kind.READ


@pytest.mark.parametrize(
    "text",
    [
        "select * from a for update",
        "SELECT * FROM a FOR NO KEY UPDATE SKIP LOCKED",
        "select * from a for key share",
        "with b as (select 1) select * from a for update of a",
    ],
)
def test_row_locks(text: str) -> None:
    """They take a transaction id, but leave no row."""
    assert classify(text).kind is Kind.LOCKING_READ


@pytest.mark.parametrize(
    "text",
    [
        "insert into a values (1)",
        "update a set b = 1",
        "select 1 into b",
        "select 1; commit",
        "with b as (insert into a values (1) returning 1) select * from b",
        "with b as (delete from a returning 1) select * from b",
        "explain analyze insert into a values (1)",
        "create table a ()",
        "copy a from stdin",
        "do $$ begin end $$",
        "call a()",
        "notify a",
        "lock table a",
        "set search_path to a; commit",
        "",
    ],
)
def test_what_may_leave_something(text: str) -> None:
    """In doubt it is a write."""
    assert classify(text).kind is Kind.WRITE


@pytest.mark.parametrize(
    "text",
    [
        "vacuum",
        "VACUUM (ANALYZE) a",
        "create unique index concurrently a on b (c)",
        "drop index concurrently a",
        "reindex (verbose) table concurrently a",
        "create database a",
        "DROP DATABASE a",
        "alter system set a = 'b'",
    ],
)
def test_what_runs_outside_of_transactions_only(text: str) -> None:
    """PostgreSQL refuses it in a transaction block."""
    assert classify(text).kind is Kind.NOT_IN_TRANSACTION


@pytest.mark.parametrize(
    "text",
    [
        "set transaction isolation level serializable",
        "SET TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ",
        "set transaction snapshot '00000003-0000001B-1'",
        "set session characteristics as transaction isolation level serializable",
        "begin isolation level serializable",
        "START TRANSACTION READ ONLY ISOLATION LEVEL REPEATABLE READ",
    ],
)
def test_snapshots(text: str) -> None:
    """A transaction of the test can't have one of its own."""
    assert classify(text).kind is Kind.SNAPSHOT


@pytest.mark.parametrize(
    "text",
    [
        "set transaction read only",
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
        "set session characteristics as transaction read only",
    ],
)
def test_modes(text: str) -> None:
    """The sandbox keeps them itself, per connection."""
    assert classify(text).kind is Kind.MODE


def test_listening() -> None:
    """Nothing would ever be delivered."""
    assert classify("LISTEN a").kind is Kind.LISTEN
    assert classify("unlisten a").kind is Kind.WRITE


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("insert into a values (1); commit", True),
        ("rollback; select 1", True),
        ("select 1 -- commit", False),
        ("insert into a values (1)", False),
    ],
)
def test_what_could_end_a_transaction(text: str, ends: bool) -> None:
    """It is remembered, to be named if the transaction turns out to have ended."""
    assert ends_a_transaction(text) is ends


@pytest.mark.parametrize(
    ("text", "defines"),
    [
        ("create table a ()", True),
        ("select 1; alter table a add b int", True),
        ("do $$ begin drop table a; end $$", True),
        ("insert into a values (1)", False),
        ("select 1 as create", False),
    ],
)
def test_what_may_define_something(text: str, defines: bool) -> None:
    """After it, which constraints there are is asked again."""
    assert classify(text).may_define is defines
