"""What a SQL text does to its transaction."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.statements import (
    Kind,
    classify,
    is_transaction_control,
    split,
    together,
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
        "with a as (select 1) select * from a",
        "explain select 1",
        "set search_path to a",
        "SET LOCAL statement_timeout = '5s'",
        "set constraints all deferred",
        "select set_config('a.b', 'c', true)",
        "set session characteristics as transaction read only",
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
        "do $$ begin end $$",
        "call a()",
        "set search_path to a; commit",
        "copy a to stdout",
        "copy a from '/tmp/stdin'",
        "listen a b",
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
    ],
)
def test_modes(text: str) -> None:
    """The sandbox keeps them itself, per connection."""
    assert classify(text).kind is Kind.MODE


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("LISTEN a", Kind.LISTEN, "a"),
        ('listen "A b"', Kind.LISTEN, "A b"),
        ("unlisten A", Kind.UNLISTEN, "a"),
        ("UNLISTEN *", Kind.UNLISTEN, None),
        ("notify A", Kind.NOTIFY, "a"),
        ("NOTIFY a, 'b'", Kind.NOTIFY, "a"),
        ("NOTIFY \"A\", 'b'", Kind.NOTIFY, "A"),
        ("prepare A (int) as select 1", Kind.PREPARE, "a"),
        ('PREPARE "A" AS SELECT 1', Kind.PREPARE, "A"),
        ("execute a(1, 'x')", Kind.EXECUTE, "a"),
        ('EXECUTE "A"', Kind.EXECUTE, "A"),
        ("explain (analyze) execute a(1)", Kind.EXECUTE, "a"),
        ("create table b as execute a(1)", Kind.EXECUTE, "a"),
        ("deallocate prepare a", Kind.DEALLOCATE, "a"),
        ("DEALLOCATE A", Kind.DEALLOCATE, "a"),
        ("deallocate all", Kind.DEALLOCATE, None),
        ("declare c cursor for select 1", Kind.DECLARE, "c"),
        ('DECLARE "C d" INSENSITIVE SCROLL CURSOR WITH HOLD FOR SELECT 1', Kind.DECLARE, "C d"),
        ("declare $c cursor for select 1", Kind.WRITE, None),
        ("fetch c", Kind.CURSOR, "c"),
        ("fetch 10 from c", Kind.CURSOR, "c"),
        ("FETCH FORWARD ALL IN C", Kind.CURSOR, "c"),
        ('move backward 3 from "C"', Kind.CURSOR, "C"),
        ("fetch absolute -1 c", Kind.CURSOR, "c"),
        ("close c", Kind.CURSOR, "c"),
        ("CLOSE ALL", Kind.CLOSE_ALL, None),
        ("reset all", Kind.RESET_ALL, None),
        ("discard temp", Kind.DISCARD, None),
        ("lock table a in share mode", Kind.LOCK_TABLE, None),
        ("copy a (b, c) from stdin with (format csv)", Kind.COPY_IN, None),
        ("COPY a FROM STDIN", Kind.COPY_IN, None),
    ],
)
def test_what_belongs_to_a_session(text: str, kind: Kind, name: str | None) -> None:
    """With the name that it has for its client, folded as the server folds it."""
    statement = classify(text)

    assert (statement.kind, statement.name) == (kind, name)


@pytest.mark.parametrize(
    "text",
    [
        "select 'listen a'",
        "select 1 -- notify a",
        "select 'copy a from stdin'",
        "/* declare c cursor for */ select 1",
    ],
)
def test_words_in_strings_and_comments_are_none(text: str) -> None:
    """They belong to nobody's session."""
    assert classify(text).kind is Kind.READ


@pytest.mark.parametrize(
    ("text", "kinds", "offsets"),
    [
        ("", [], []),
        ("select 1", [Kind.READ], [0]),
        (
            " begin; insert into a values (1);commit",
            [Kind.BEGIN, Kind.WRITE, Kind.COMMIT],
            [1, 8, 33],
        ),
        ("/* a */ select 1;; -- b\n copy a from stdin;", [Kind.READ, Kind.COPY_IN], [8, 25]),
        ("insert into a values (';')", [Kind.WRITE], [0]),
    ],
)
def test_a_text_of_several_statements(text: str, kinds: list[Kind], offsets: list[int]) -> None:
    """Each by itself, with where it stands in the text."""
    found = split(text)

    assert [each.kind for each in found] == kinds
    assert [each.offset for each in found] == offsets
    assert [text[each.offset :].startswith(each.text) for each in found] == [True] * len(kinds)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("select 1; select 2", Kind.READ),
        ("select 1; fetch c", Kind.READ),
        ("select 1; select * from a for update", Kind.WRITE),
        ("select 1; listen a", Kind.WRITE),
        ("select 1; insert into a values (1)", Kind.WRITE),
    ],
)
def test_what_several_statements_do_together(text: str, kind: Kind) -> None:
    """They leave something to undo if one of them does."""
    assert together(split(text)) is kind


def test_a_long_text_is_not_kept() -> None:
    """It is made of values, and does not come again."""
    short, long = "select 'a'", f"select '{'a' * 30_000}'"

    assert split(short) is split(short)
    assert split(long) is not split(long)


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


def test_strings_with_escapes_everywhere() -> None:
    """With standard_conforming_strings off, a backslash keeps a string open."""
    text = r"SELECT 'a\'b; COMMIT; --'"

    assert [each.text for each in split(text, has_escapes=True)] == [text]
    assert len(split(text)) == 2


_VALUE = "a; set_config pg_advisory_lock(1) " * 1_000


@pytest.mark.parametrize(
    "text",
    [
        f"INSERT INTO pictures (content) VALUES ('{_VALUE}')",
        f"update pictures set content = E'{_VALUE}'",
        f"SELECT '{_VALUE}'",
        f"WITH one AS (SELECT '{_VALUE}') INSERT INTO pictures SELECT * FROM one",
    ],
    ids=["insert", "update", "select", "with"],
)
def test_long_values_are_not_read(text: str) -> None:
    """They are megabytes, and each question about a statement would read them again."""
    statement = classify(text)

    assert len(statement.words) < 100
    assert not statement.names_advisory_locks
    assert statement.text == text


@pytest.mark.parametrize(
    "text",
    [
        f"DO 'BEGIN PERFORM pg_advisory_lock(1); {_VALUE} END'",
        f"SELECT set_config('application_name', '{_VALUE}', false)",
        f"SELECT $${_VALUE}$$",
        f"CREATE FUNCTION f() RETURNS void LANGUAGE sql AS '{_VALUE}'",
        "SELECT 'short'",
    ],
    ids=["block", "set_config", "dollars", "function", "short"],
)
def test_what_may_be_run_is_read(text: str) -> None:
    """However long it is."""
    assert classify(text).words == text
