"""A client that is gone, at any byte and in every state: what it has not committed is undone."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    COPY_DONE,
    FLUSH,
    SYNC,
    TERMINATE,
    Wire,
    bind,
    copy_data,
    describe,
    errors,
    execute,
    extended,
    kinds,
    parse,
    query,
    startup,
)

CONVERSATION = b"".join(
    [
        query("BEGIN"),
        query("INSERT INTO items VALUES (50)"),
        query("SAVEPOINT s"),
        parse("INSERT INTO items VALUES ($1)", "insert") + describe("S", "insert") + SYNC,
        bind("insert", "", "51") + execute() + FLUSH,
        bind("insert", "", "52") + execute() + SYNC,
        query("COPY items FROM STDIN"),
        copy_data(b"53\ta\n") + copy_data(b"54\tb\n") + COPY_DONE,
        query("SELECT repeat('x', 1000) FROM generate_series(1, 50)"),
        query("SELECT pg_advisory_lock(77)"),
        query("CREATE TEMP TABLE mine (a int); DECLARE c CURSOR FOR SELECT 1; FETCH c"),
    ]
)
"""A transaction that is never committed."""


def _is_untouched(witness: Wire) -> None:
    """Nothing of the conversation stays: rows, locks, tables, names."""
    assert witness.rows("SELECT id FROM items") == [("1",)]
    assert witness.value("SELECT pg_try_advisory_lock(77)") == "t"
    witness.run("SELECT pg_advisory_unlock(77)")
    assert errors(witness.run("SELECT * FROM mine")) == ["42P01"]


@pytest.fixture
def witness(sandbox: Sandbox) -> Wire:
    """Another client, with a row of its own."""
    witness = sandbox.client()
    witness.run("INSERT INTO items VALUES (1)")
    return witness


def test_a_client_may_vanish_at_any_byte(sandbox: Sandbox, witness: Wire) -> None:
    """Of a transaction that it does not commit, nothing is ever left."""
    for length in range(0, len(CONVERSATION), 3):
        client = sandbox.client()
        client.send(CONVERSATION[:length])
        client.vanish()
        if length % 30 == 0:
            _is_untouched(witness)

    _is_untouched(witness)


def test_a_client_may_vanish_at_any_byte_of_its_start(sandbox: Sandbox, witness: Wire) -> None:
    """Nobody waits for the rest."""
    packet = struct.pack("!ii", 8, 80877103) + startup(sandbox.parameters())
    for length in range(len(packet)):
        client = sandbox.raw()
        client.send(packet[:length])
        client.vanish()

    _is_untouched(witness)


def _in_a_failed_transaction(client: Wire) -> None:
    client.run("BEGIN; INSERT INTO items VALUES (50)")
    assert errors(client.run("SELECT 1/0")) == ["22012"]


def _in_a_savepoint(client: Wire) -> None:
    client.run("BEGIN")
    for name in "abc":
        client.run(f"INSERT INTO items VALUES ({ord(name)}); SAVEPOINT {name}")
    client.run("ROLLBACK TO b")


def _in_copy(client: Wire) -> None:
    client.run("BEGIN")
    client.send(query("COPY items FROM STDIN") + copy_data(b"50\ta\n51\tb"))
    client.until("G")


def _in_copy_without_a_transaction(client: Wire) -> None:
    client.send(query("COPY items FROM STDIN") + copy_data(b"50\ta\n51\tb\n"))
    client.until("G")


def _in_copy_out(client: Wire) -> None:
    client.run(
        "BEGIN; INSERT INTO items SELECT g, repeat('x', 1000) FROM generate_series(100, 9000) g"
    )
    client.send(query("COPY items TO STDOUT"))
    client.until("d")


def _in_a_pipeline(client: Wire) -> None:
    client.send(
        parse("INSERT INTO items VALUES ($1)")
        + bind("", "", "50")
        + execute()
        + FLUSH
        + bind("", "", "51")
        + execute()
    )
    client.until("C")


def _in_a_portal(client: Wire) -> None:
    client.run("BEGIN; INSERT INTO items SELECT g FROM generate_series(100, 200) g")
    client.ask(parse("SELECT id FROM items") + bind("", "p") + execute("p", 5) + SYNC)


def _in_a_result(client: Wire) -> None:
    client.run("BEGIN; INSERT INTO items VALUES (50)")
    client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 30000)"))
    client.until("D")


def _in_a_statement(client: Wire) -> None:
    client.send(query("INSERT INTO items SELECT 50 FROM pg_sleep(0.3)"))
    client.send(query("BEGIN; INSERT INTO items SELECT 51 FROM pg_sleep(0.3)"))


def _with_what_a_session_has(client: Wire) -> None:
    for each in (
        "LISTEN somewhere",
        "CREATE TEMP TABLE mine (a int)",
        "SELECT pg_advisory_lock(77)",
        "SET work_mem = '5MB'",
        "PREPARE s AS SELECT 1",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "BEGIN READ ONLY",
        "SELECT 1",
    ):
        assert errors(client.run(each)) == []


STATES: list[Callable[[Wire], None]] = [
    _in_a_failed_transaction,
    _in_a_savepoint,
    _in_copy,
    _in_copy_without_a_transaction,
    _in_copy_out,
    _in_a_pipeline,
    _in_a_portal,
    _in_a_result,
    _with_what_a_session_has,
]


@pytest.mark.parametrize("state", STATES, ids=lambda each: each.__name__.strip("_"))
@pytest.mark.parametrize("at_once", [True, False])
def test_a_client_may_vanish_in_every_state(
    sandbox: Sandbox, witness: Wire, state: Callable[[Wire], None], at_once: bool
) -> None:
    """What it had not committed is undone, what it held is given back."""
    client = sandbox.client()
    state(client)
    if not at_once:
        assert witness.value("SELECT 2") == "2"
    client.vanish()

    _is_untouched(witness)
    assert witness.value("SHOW work_mem") == sandbox.direct().value("SHOW work_mem")
    assert witness.value("SELECT current_user") == "postgres"
    assert errors(witness.run("INSERT INTO items VALUES (2)")) == []


def test_a_client_may_vanish_with_a_role_and_a_temporary_table(
    sandbox: Sandbox, witness: Wire
) -> None:
    """What it did in another role does not bind those that come after it."""
    client = sandbox.client()
    client.run("CREATE TEMP TABLE mine (a int)")
    client.run("SET ROLE pg_monitor")
    client.run("SELECT 1")
    assert witness.value("SELECT current_user") == "postgres"
    client.vanish()

    _is_untouched(witness)
    assert witness.value("SELECT current_user") == "postgres"


@pytest.mark.parametrize("seconds", [0.3, 1.5], ids=["short", "long"])
def test_what_was_sent_before_a_client_vanished_is_done(
    sandbox: Sandbox, witness: Wire, seconds: float
) -> None:
    """As the server does it, which reads what has come; the transaction that is open is undone."""
    client = sandbox.client()
    first = query(f"INSERT INTO items SELECT 50 FROM pg_sleep({seconds})")
    client.send(first + query("BEGIN; INSERT INTO items VALUES (51)"))
    client.vanish()

    assert witness.rows("SELECT id FROM items ORDER BY 1") == [("1",), ("50",)]


def test_a_client_may_vanish_while_it_waits_for_another(sandbox: Sandbox, witness: Wire) -> None:
    """The lock that it waited for goes to the next one."""
    witness.run("SELECT pg_advisory_lock(77)")
    client, next_ = sandbox.client(), sandbox.client()
    client.run("BEGIN; INSERT INTO items VALUES (50)")
    for each in (client, next_):
        each.send(query("SELECT pg_advisory_lock(77)"))
        assert witness.value("SELECT 2") == "2"
    client.vanish()
    witness.run("SELECT pg_advisory_unlock(77)")

    assert kinds(next_.until("Z")) == "TDCZ"
    next_.run("SELECT pg_advisory_unlock(77)")
    _is_untouched(witness)


def test_a_client_may_vanish_that_others_wait_for(sandbox: Sandbox, witness: Wire) -> None:
    """They get what it held."""
    client = sandbox.client()
    client.run("BEGIN")
    client.run("SELECT pg_advisory_xact_lock(77)")
    client.run("SELECT pg_advisory_lock(78)")
    witness.send(query("SELECT pg_advisory_lock(77)"))
    assert sandbox.client().value("SELECT 2") == "2"
    client.vanish()

    assert kinds(witness.until("Z")) == "TDCZ"
    assert kinds(witness.run("SELECT pg_advisory_lock(78)")) == "TDCZ"
    witness.run("SELECT pg_advisory_unlock_all()")


def test_committed_work_stays(sandbox: Sandbox, witness: Wire) -> None:
    """Whether its client heard of it or not."""
    one, other = sandbox.client(), sandbox.client()
    one.send(query("BEGIN; INSERT INTO items VALUES (50); COMMIT"))
    one.vanish()
    other.send(extended("INSERT INTO items VALUES ($1)", "51"))
    other.vanish()

    assert witness.rows("SELECT id FROM items ORDER BY 1") == [("1",), ("50",), ("51",)]


@pytest.mark.parametrize("last", [b"", TERMINATE], ids=["without a word", "with Terminate"])
@pytest.mark.parametrize("is_simple", [True, False], ids=["simple", "extended"])
def test_nobody_waits_for_what_a_vanished_client_runs(
    sandbox: Sandbox, witness: Wire, is_simple: bool, last: bytes
) -> None:
    """It is cancelled as soon as another client wants its turn, and what it did is undone."""
    sql = "WITH slow AS (SELECT pg_sleep(60)) INSERT INTO items SELECT 60 FROM slow"
    client = sandbox.client()
    client.run("BEGIN; INSERT INTO items VALUES (59)")
    client.send(query(sql) if is_simple else extended(sql))
    asleep = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = "
    while not sandbox.outside(f"{asleep} '{sandbox.database}'"):
        pass
    client.send(last)
    client.vanish()
    began = time.monotonic()

    assert witness.rows("SELECT id FROM items") == [("1",)]
    assert time.monotonic() - began < 10


def test_what_was_vanished_before_belongs_to_the_check(sandbox: Sandbox, witness: Wire) -> None:
    """Both reach an endpoint at once that was at work: the end of a client, and of the body."""
    client, busy = sandbox.client(), sandbox.client()
    client.run("BEGIN; INSERT INTO items VALUES (61)")
    witness.run("INSERT INTO items VALUES (62)")
    busy.send(query("SELECT pg_sleep(0.3)"))
    client.vanish()
    (error,) = sandbox.process.call("check")["errors"]

    assert error["class"] == "TransactionsInterleaved"
    assert [each["id"] for each in sandbox.finish()["errors"]] == [error["id"]]
