"""Isolation levels: what a transaction that only asks for one is told, and what is refused."""

from __future__ import annotations

import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    SYNC,
    Message,
    Wire,
    bind,
    errors,
    execute,
    extended,
    parse,
    rows,
    tags,
)

LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
SHOWN = [
    "SHOW transaction_isolation",
    "SHOW TRANSACTION ISOLATION LEVEL",
    "SHOW default_transaction_isolation",
]
LOOKS = [
    "SELECT 1",
    "INSERT INTO items VALUES (1)",
    "COPY items FROM STDIN",
    "CREATE TABLE t ()",
]
BEGINS = [
    ["BEGIN ISOLATION LEVEL {}"],
    ["START TRANSACTION READ ONLY, ISOLATION LEVEL {}, NOT DEFERRABLE"],
    ["BEGIN", "SET TRANSACTION ISOLATION LEVEL {}"],
    ["BEGIN ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION ISOLATION LEVEL {}"],
    ["SET TRANSACTION ISOLATION LEVEL {}"],
    ["BEGIN", "SELECT 1", "SET TRANSACTION ISOLATION LEVEL {}"],
    ["BEGIN", "SAVEPOINT a", "SET TRANSACTION ISOLATION LEVEL {}"],
]

MODES = ("ISOLATION LEVEL READ UNCOMMITTED", "READ ONLY", "DEFERRABLE")
READ = ("isolation", "read_only", "deferrable")


def _columns(heard: list[Message]) -> list[bytes]:
    """The names of a result's columns."""
    return [each.body[2:].partition(b"\0")[0] for each in heard if each.kind == "T"]


def _played(client: Wire, texts: list[str]) -> list[object]:
    """What *client* hears of each text: rows and errors, by either protocol."""
    heard = []
    for text in texts:
        heard.append(client.run(text))
        if text.startswith("SHOW"):
            heard.append(client.ask(extended(text)))
    return [(rows(each), errors(each)) for each in heard]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("begins", BEGINS, ids="; ".join)
def test_a_level_that_is_only_shown(sandbox: Sandbox, begins: list[str], level: str) -> None:
    """As on a server of one's own, as long as nobody looks at rows by it."""
    texts = [*(each.format(level) for each in begins), *SHOWN, "COMMIT AND CHAIN", *SHOWN]
    texts += ["ROLLBACK", *SHOWN]
    client, direct = sandbox.client(), sandbox.direct()

    assert _played(client, texts) == _played(direct, texts)


@pytest.mark.parametrize("level", LEVELS[:2])
@pytest.mark.parametrize(
    "sets",
    [
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {}",
        "SET default_transaction_isolation = '{}'",
    ],
)
def test_the_level_that_a_session_has_by_default(sandbox: Sandbox, sets: str, level: str) -> None:
    """Each statement outside of a block is a transaction, which begins with it."""
    texts = [sets.format(level.lower()), *SHOWN, "BEGIN", *SHOWN, "ROLLBACK", *SHOWN]
    client, direct = sandbox.client(), sandbox.direct()

    assert _played(client, texts) == _played(direct, texts)


@pytest.mark.parametrize("level", LEVELS[2:])
@pytest.mark.parametrize("begins", BEGINS[:3], ids="; ".join)
@pytest.mark.parametrize(
    "look",
    ["SELECT 1", "INSERT INTO items VALUES (1)", "COPY items FROM STDIN", "CREATE TABLE t ()"],
)
def test_a_snapshot_of_ones_own_is_refused_by_the_first_look(
    sandbox: Sandbox, begins: list[str], level: str, look: str
) -> None:
    """In words that name the level, by either protocol; the next transaction is like any other."""
    client = sandbox.client()
    for ask in (client.run, lambda text: client.ask(extended(text))):
        for text in begins:
            assert errors(client.run(text.format(level))) == []
        heard = ask(look)
        assert errors(heard) == ["0A000"]
        assert level in heard[-2].fields["M"]
        assert errors(client.run("SELECT 1")) == ["25P02"]
        client.run("ROLLBACK")
        assert client.value("SELECT 1") == "1"


def test_a_level_that_was_given_up_is_none(sandbox: Sandbox) -> None:
    """READ UNCOMMITTED is what the test has; what was asked before counts no more."""
    client = sandbox.client()
    client.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
    client.run("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")

    assert client.value("SELECT count(*) FROM items") == "0"
    assert client.value("SELECT current_setting('transaction_isolation')") == "read uncommitted"


@pytest.mark.parametrize("begins", ["BEGIN", f"BEGIN {' '.join(MODES)}", "BEGIN DEFERRABLE"])
@pytest.mark.parametrize(
    "asks",
    [
        "SELECT current_setting('{}')",
        "SELECT current_setting($1)",
        "SELECT upper(current_setting( $1 , true)), $1::text",
        "SHOW {}",
    ],
)
def test_a_mode_is_read_by_any_name(sandbox: Sandbox, begins: str, asks: str) -> None:
    """The session's defaults are not touched, which may be asked in the same statement."""
    names = [f"{first}transaction_{last}" for first in ("", "default_") for last in READ]
    client, direct = sandbox.client(), sandbox.direct()
    heard = []
    for each in (client, direct):
        each.run(begins)
        values = [(name,) if "$1" in asks else () for name in names]
        requests = zip(names, values, strict=True)
        heard.append([each.ask(extended(asks.format(name), *value)) for name, value in requests])

    assert [rows(each) for each in heard[0]] == [rows(each) for each in heard[1]]
    assert [_columns(each) for each in heard[0]] == [_columns(each) for each in heard[1]]
    assert [tags(each) for each in heard[0]] == [tags(each) for each in heard[1]]


@pytest.mark.parametrize("asks", ["SHOW transaction_isolation", "SHOW transaction_deferrable"])
def test_a_mode_is_read_among_other_statements(sandbox: Sandbox, asks: str) -> None:
    """Several in one text, with a comment before."""
    client, direct = sandbox.client(), sandbox.direct()
    texts = [f"BEGIN {' '.join(MODES)}; SELECT 1", f"SELECT 1; /* a */ {asks}; {asks}; -- b"]
    heard = [[each.run(text) for text in texts] for each in (client, direct)]

    assert [rows(each) for each in heard[0]] == [rows(each) for each in heard[1]]
    assert [tags(each) for each in heard[0]] == [tags(each) for each in heard[1]]


def test_a_statement_that_was_prepared_before_reads_the_mode(sandbox: Sandbox) -> None:
    """Of the transaction that executes it."""
    client = sandbox.client()
    client.ask(parse("SELECT current_setting($1)", "s") + SYNC)
    ask = bind("s", "", "transaction_deferrable") + execute() + SYNC
    heard = [rows(client.ask(ask))]
    for begin in ("BEGIN DEFERRABLE", "BEGIN"):
        client.run(begin)
        heard.append(rows(client.ask(ask)))
        client.run("ROLLBACK")

    assert heard == [[("off",)], [("on",)], [("off",)]]


def test_what_is_written_beside_a_mode_stays(sandbox: Sandbox) -> None:
    """A statement that reads a mode is not undone."""
    client = sandbox.client()
    client.run("CREATE TABLE seen (level text)")
    client.run("BEGIN ISOLATION LEVEL READ UNCOMMITTED")
    client.run("INSERT INTO seen VALUES (current_setting('transaction_isolation'))")
    client.run("COMMIT")

    assert client.rows("SELECT level FROM seen") == [("read uncommitted",)]


def test_what_ends_a_transaction_that_only_asked(sandbox: Sandbox) -> None:
    """Its temporary tables do at its end what they were told."""
    client = sandbox.client()
    client.run("CREATE TEMPORARY TABLE t ON COMMIT DELETE ROWS AS SELECT 1 AS a")
    client.run("BEGIN ISOLATION LEVEL SERIALIZABLE")

    assert errors(client.run("COMMIT")) == []
    assert client.value("SELECT count(*) FROM t") == "0"


def test_a_statement_may_be_parsed_before(sandbox: Sandbox) -> None:
    """It looks at nothing until it is run."""
    client = sandbox.client()
    client.run("BEGIN ISOLATION LEVEL SERIALIZABLE")

    assert errors(client.ask(parse("SELECT 1", "s") + SYNC)) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'",
    ],
)
def test_what_is_refused_at_once(sandbox: Sandbox, sql: str) -> None:
    """The level of all transactions to come, and the snapshot of another one."""
    client = sandbox.client()
    client.run("BEGIN")

    assert errors(client.run(sql)) == ["0A000"]
