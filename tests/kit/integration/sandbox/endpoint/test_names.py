"""Names that belong to one connection: statements, portals, cursors, temporary tables."""

from __future__ import annotations

import asyncio

import asyncpg
import psycopg
import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    SYNC,
    bind,
    close,
    describe,
    errors,
    execute,
    extended,
    kinds,
    message,
    parse,
    rows,
    status,
    tags,
)

NUMBERS = "SELECT g FROM generate_series({}, {}) g"

# -- prepared statements -----------------------------------------------------------------------


def test_statements_of_one_name_are_their_clients(sandbox: Sandbox) -> None:
    """Whoever prepared it last on the server, each runs its own."""
    one, other = sandbox.client(), sandbox.client()
    one.ask(parse("SELECT 'one'", "s") + SYNC)
    other.ask(parse("SELECT 'other'", "s") + SYNC)

    for _ in range(2):
        for client, value in ((one, "one"), (other, "other")):
            assert rows(client.ask(bind("s") + execute() + SYNC)) == [(value,)]


def test_a_statement_is_there_after_it_failed(sandbox: Sandbox) -> None:
    """Also where the server had been given another client's under the same name."""
    one, other = sandbox.client(), sandbox.client()
    one.ask(parse("SELECT 1 / $1::int", "s") + SYNC)
    other.ask(parse("SELECT 'other'", "s") + SYNC)

    assert errors(one.ask(bind("s", "", "0") + execute() + SYNC)) == ["22012"]
    assert rows(one.ask(bind("s", "", "1") + execute() + SYNC)) == [("1",)]
    assert rows(other.ask(bind("s") + execute() + SYNC)) == [("other",)]


def test_a_statement_that_could_not_be_parsed_is_none(sandbox: Sandbox) -> None:
    """Its name is free, and another client's of that name unharmed."""
    one, other = sandbox.client(), sandbox.client()
    other.ask(parse("SELECT 'other'", "s") + SYNC)

    assert errors(one.ask(parse("SELECT nothing", "s") + SYNC)) == ["42703"]
    assert errors(one.ask(bind("s") + execute() + SYNC)) == ["26000"]
    assert errors(one.ask(parse("SELECT 'one'", "s") + SYNC)) == []
    assert rows(one.ask(bind("s") + execute() + SYNC)) == [("one",)]
    assert rows(other.ask(bind("s") + execute() + SYNC)) == [("other",)]


def test_a_name_is_taken_once(sandbox: Sandbox) -> None:
    """By Parse and by PREPARE; Close and DEALLOCATE free it."""
    client = sandbox.client()
    client.ask(parse("SELECT 1", "s") + SYNC)

    assert errors(client.ask(parse("SELECT 2", "s") + SYNC)) == ["42P05"]
    assert errors(client.run("PREPARE s AS SELECT 2")) == ["42P05"]
    assert kinds(client.ask(close("S", "s") + SYNC)) == "3Z"
    assert tags(client.run("PREPARE s AS SELECT 2")) == ["PREPARE"]
    assert client.value("EXECUTE s") == "2"
    assert tags(client.run("DEALLOCATE s")) == ["DEALLOCATE"]
    assert errors(client.run("EXECUTE s")) == ["26000"]


def test_what_prepare_made_is_bound_too(sandbox: Sandbox) -> None:
    """There is one space of names for both protocols."""
    client = sandbox.client()
    client.run("PREPARE s (int) AS SELECT $1 + 1")

    assert rows(client.ask(bind("s", "", "1") + execute() + SYNC)) == [("2",)]


def test_what_parse_made_is_executed_too(sandbox: Sandbox) -> None:
    """By EXECUTE."""
    client = sandbox.client()
    client.ask(parse("SELECT $1::int + 1", "s") + SYNC)

    assert client.value("EXECUTE s(1)") == "2"


def test_prepare_of_two_clients(sandbox: Sandbox) -> None:
    """EXECUTE runs the client's own, DEALLOCATE ALL forgets no other's."""
    one, other = sandbox.client(), sandbox.client()
    one.run("PREPARE s (int) AS SELECT $1 + 10")
    other.run("PREPARE s (text) AS SELECT $1 || '!'")

    assert (one.value("EXECUTE s(1)"), other.value("EXECUTE s('a')")) == ("11", "a!")
    one.run("DEALLOCATE ALL")
    assert other.value("EXECUTE s('b')") == "b!"
    assert errors(one.run("EXECUTE s(1)")) == ["26000"]


def test_an_unnamed_statement_lasts_until_the_next(sandbox: Sandbox) -> None:
    """Of the same client: others parse theirs in between."""
    one, other = sandbox.client(), sandbox.client()
    one.ask(parse("SELECT $1::int + 1") + SYNC)
    other.ask(extended("SELECT $1 || '!'", "a"))

    assert rows(one.ask(bind("", "", "1") + execute() + SYNC)) == [("2",)]
    assert rows(one.ask(bind("", "", "2") + execute() + SYNC)) == [("3",)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_backend_pid() > 0",
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        "SELECT count(*) = 0 FROM pg_prepared_statements",
    ],
)
def test_an_unnamed_statement_may_ask_for_its_own_session(sandbox: Sandbox, sql: str) -> None:
    """What it is told by simple queries before does not end it: asyncpg without its cache."""
    client = sandbox.client()
    client.ask(parse(sql) + describe("S") + SYNC)

    assert rows(client.ask(parse(sql) + bind() + execute("", 1) + SYNC)) == [("t",)]
    assert rows(client.ask(bind() + execute() + SYNC)) == [("t",)]


def test_a_statement_outlives_its_test(sandbox: Sandbox) -> None:
    """A pool keeps its connections, and drivers their statements."""
    client = sandbox.client()
    client.run("CREATE TABLE made (a int)")
    client.ask(parse("SELECT $1::int + 1", "s") + SYNC)
    client.run("PREPARE p AS SELECT 5")
    sandbox.finish()
    sandbox.process.tell("enter", test="the next one")

    assert rows(client.ask(bind("s", "", "1") + execute() + SYNC)) == [("2",)]
    assert client.value("EXECUTE p") == "5"


@pytest.mark.parametrize("name", [b"\xe9", b'"\xe9"'])
@pytest.mark.parametrize("verb", [b"EXECUTE %b", b"DEALLOCATE %b", b"PREPARE %b AS SELECT 1"])
def test_names_in_another_encoding(sandbox: Sandbox, verb: bytes, name: bytes) -> None:
    """They are text in some encoding, which is the client's affair."""
    client = sandbox.client()
    client.run("SET client_encoding TO latin1")
    client.ask(message("Q", verb % name + b"\0"))

    assert client.value("SELECT 1") == "1"


def test_names_in_another_encoding_are_forgotten(sandbox: Sandbox) -> None:
    """When their client is gone, and the server's session has an encoding of its own again."""
    client, other = sandbox.client(), sandbox.client()
    other.ask(parse("SELECT 'other'", "s") + SYNC)
    client.run("SET client_encoding TO latin1")
    client.ask(message("Q", b'PREPARE "\xe9" AS SELECT 1\0'))
    sandbox.finish()
    client.vanish()
    sandbox.process.tell("enter", test="the next one")

    assert rows(other.ask(bind("s") + execute() + SYNC)) == [("other",)]
    assert other.value("SELECT count(*) FROM pg_prepared_statements WHERE name <> 's'") == "0"


def test_statements_of_asyncpg_connections(sandbox: Sandbox) -> None:
    """Its names are counted, so those of two processes are the same."""

    async def run() -> list[object]:
        dsn = {**sandbox.dsn, "database": sandbox.database}
        del dsn["dbname"]
        connections = [await asyncpg.connect(**dsn) for _ in range(3)]
        asyncpg.connection._uid = 0  # type: ignore[attr-defined]
        statements = []
        for number, connection in enumerate(connections):
            asyncpg.connection._uid = 0  # type: ignore[attr-defined]
            statements.append(await connection.prepare(f"SELECT $1::int + {number}"))
        assert len({each.get_name() for each in statements}) == 1
        found = [await each.fetchval(10) for each in [*statements, *reversed(statements)]]
        for each in connections:
            await each.close()
        return found

    assert asyncio.run(run()) == [10, 11, 12, 12, 11, 10]


# -- portals -----------------------------------------------------------------------------------


def test_portals_of_one_name_are_their_clients(sandbox: Sandbox) -> None:
    """Each goes on where it was."""
    clients = [sandbox.client() for _ in range(3)]
    for number, client in enumerate(clients):
        client.run("BEGIN")
        text = NUMBERS.format(number * 100, number * 100 + 9)
        heard = client.ask(parse(text) + bind("", "p") + execute("p", 2) + SYNC)
        assert kinds(heard) == "12DDsZ"
    found = [
        [value for _ in range(2) for (value,) in rows(client.ask(execute("p", 2) + SYNC))]
        for client in clients
    ]

    assert found == [[str(n * 100 + each) for each in (2, 3, 4, 5)] for n in range(3)]


@pytest.mark.parametrize("and_then", [b"", parse("SELECT 1") + bind() + execute() + SYNC])
def test_an_unnamed_portal_ends_with_the_next_query(sandbox: Sandbox, and_then: bytes) -> None:
    """Also if rows are left in it, as asyncpg's fetchrow leaves them: it keeps no table in use."""
    one, other = sandbox.client(), sandbox.client()
    other.run("CREATE TABLE made AS SELECT 1 AS a UNION SELECT 2")
    one.run("BEGIN")
    heard = one.ask(parse("SELECT * FROM made") + bind() + execute("", 1) + SYNC)
    if and_then:
        one.ask(and_then)
    one.run("COMMIT")

    assert len(rows(heard)) == 1
    assert errors(other.run("DROP TABLE made")) == []


def test_unnamed_portals_are_their_clients(sandbox: Sandbox) -> None:
    """Rows taken in parts, with another client's statements in between."""
    one, other = sandbox.client(), sandbox.client()
    one.run("BEGIN")
    assert rows(one.ask(parse(NUMBERS.format(1, 5)) + bind() + execute("", 2) + SYNC)) == [
        ("1",),
        ("2",),
    ]
    other.ask(extended("SELECT $1", "a"))
    other.run("SELECT 1")

    assert rows(one.ask(execute("", 2) + SYNC)) == [("3",), ("4",)]


def test_a_portal_ends_with_its_transaction(sandbox: Sandbox) -> None:
    """And is described and closed before."""
    client, other = sandbox.client(), sandbox.client()
    client.run("BEGIN")
    other.run("BEGIN")
    for each in (client, other):
        each.ask(parse(NUMBERS.format(1, 5)) + bind("", "p") + execute("p", 1) + SYNC)

    assert kinds(client.ask(describe("P", "p") + SYNC)) == "TZ"
    assert status(client.run("COMMIT")) == "I"
    assert errors(client.ask(execute("p", 1) + SYNC)) == ["34000"]
    assert rows(other.ask(execute("p", 1) + SYNC)) == [("2",)]
    assert kinds(other.ask(close("P", "p") + SYNC)) == "3Z"
    assert errors(other.ask(execute("p", 1) + SYNC)) == ["34000"]


# -- cursors -----------------------------------------------------------------------------------


def test_cursors_of_one_name_are_their_clients(sandbox: Sandbox) -> None:
    """DECLARE, FETCH, MOVE and CLOSE each mean the client's own."""
    clients = [sandbox.client() for _ in range(3)]
    for number, client in enumerate(clients):
        client.run("BEGIN")
        text = NUMBERS.format(number * 100, number * 100 + 9)
        assert errors(client.run(f"DECLARE c SCROLL CURSOR FOR {text}")) == []
    first = [client.value("FETCH c") for client in clients]
    for client in clients:
        client.run("MOVE 2 FROM c")
    then = [client.value("FETCH NEXT FROM c") for client in clients]
    clients[1].run("CLOSE c")

    assert (first, then) == (["0", "100", "200"], ["3", "103", "203"])
    assert errors(clients[1].run("FETCH c")) == ["34000"]
    assert clients[2].value("FETCH PRIOR c") == "202"
    assert clients[0].value("FETCH LAST c") == "9"


def test_nobody_reads_from_anothers_cursor(sandbox: Sandbox) -> None:
    """It does not exist, as far as others can tell."""
    one, other = sandbox.client(), sandbox.client()
    one.run("BEGIN")
    one.run("DECLARE c CURSOR FOR SELECT 1")

    assert errors(other.run("FETCH c")) == ["34000"]
    assert errors(other.run("CLOSE c")) == ["34000"]
    assert one.value("FETCH c") == "1"


def test_named_cursors_of_psycopg(sandbox: Sandbox) -> None:
    """Two connections, one name, read in turns."""
    with (
        psycopg.connect(**sandbox.dsn) as one,
        psycopg.connect(**sandbox.dsn) as other,
        one.cursor("c") as first,
        other.cursor("c") as second,
    ):
        first.execute("SELECT g FROM generate_series(0, 9) g")
        second.execute("SELECT g FROM generate_series(100, 109) g")
        found = [(first.fetchone(), second.fetchone()) for _ in range(3)]

    assert found == [((0,), (100,)), ((1,), (101,)), ((2,), (102,))]


# -- temporary tables --------------------------------------------------------------------------


def test_temporary_tables_of_one_name_are_their_clients(sandbox: Sandbox) -> None:
    """Each sees its own, and no other's."""
    one, other, third = sandbox.client(), sandbox.client(), sandbox.client()
    one.run("CREATE TEMP TABLE mine AS SELECT 'one' AS who")
    other.run("CREATE TEMP TABLE mine AS SELECT 'other' AS who")

    for _ in range(2):
        assert one.value("SELECT who FROM mine") == "one"
        assert other.value("SELECT who FROM mine") == "other"
        assert errors(third.run("SELECT who FROM mine")) == ["42P01"]
    one.vanish()
    assert other.value("SELECT who FROM mine") == "other"
    assert errors(third.run("SELECT who FROM mine")) == ["42P01"]


def test_a_temporary_table_hides_a_table_from_its_client_alone(sandbox: Sandbox) -> None:
    """As on a server, where it is first in the search path."""
    one, other = sandbox.client(), sandbox.client()
    other.run("INSERT INTO items VALUES (1, 'real')")
    one.run("CREATE TEMP TABLE items (id int, name text)")
    one.run("INSERT INTO items VALUES (2, 'temporary')")

    assert one.rows("SELECT name FROM items") == [("temporary",)]
    assert other.rows("SELECT name FROM items") == [("real",)]
    one.run("DROP TABLE items")
    assert one.rows("SELECT name FROM items") == [("real",)]


def test_a_temporary_table_does_what_it_declares(sandbox: Sandbox) -> None:
    """ON COMMIT DROP and DELETE ROWS, at the client's own commit."""
    one, other = sandbox.client(), sandbox.client()
    one.run("BEGIN; CREATE TEMP TABLE d ON COMMIT DROP AS SELECT 1 AS a")
    one.run("CREATE TEMP TABLE e (a int) ON COMMIT DELETE ROWS; INSERT INTO e VALUES (1)")
    other.run("INSERT INTO items VALUES (1)")
    assert (one.value("SELECT a FROM d"), one.value("SELECT a FROM e")) == ("1", "1")
    one.run("COMMIT")

    assert errors(one.run("SELECT a FROM d")) == ["42P01"]
    assert one.rows("SELECT a FROM e") == []


def test_a_client_leaves_with_its_temporary_tables_after_the_server_did(sandbox: Sandbox) -> None:
    """There is nothing to drop any more, and the endpoint lives."""
    client = sandbox.client()
    client.run("CREATE TEMP TABLE mine (a int)")
    sandbox.outside(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        f"WHERE datname = '{sandbox.database}'"
    )
    client.vanish()
    said = sandbox.finish()
    sandbox.process.tell("enter", test="the next one")

    assert [each["class"] for each in said["errors"]] == ["SandboxLost"]
    assert sandbox.client().value("SELECT 1") == "1"
