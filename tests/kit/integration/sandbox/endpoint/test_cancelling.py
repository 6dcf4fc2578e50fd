"""Requests to cancel, which come on a connection of their own, at any moment."""

from __future__ import annotations

import time

import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    COPY_DONE,
    FLUSH,
    SECONDS,
    SYNC,
    TERMINATE,
    Closed,
    Wire,
    bind,
    cancel_request,
    copy_data,
    errors,
    execute,
    extended,
    parse,
    query,
    status,
)

LONG = "SELECT pg_sleep(15)"
"""Within the time that a client of these tests waits for an answer, but not by itself."""
SLOW_ROWS = """
    CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(15); RETURN new; END $$;
    CREATE TRIGGER sleep BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION sleep()
"""
LARGE = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)"
"""A result of 100 MB."""


def _is_in(sandbox: Sandbox, event: str) -> bool:
    """Whether the test's session on the server waits for *event* (manual, 27.2)."""
    sql = "SELECT wait_event FROM pg_stat_activity WHERE datname = '{}' AND state = 'active'"
    return sandbox.outside(sql.format(sandbox.database)) == [(event,)]


def _until_it_runs(sandbox: Sandbox, event: str = "PgSleep") -> None:
    deadline = time.monotonic() + SECONDS
    while not _is_in(sandbox, event):
        assert time.monotonic() < deadline


def _cancel(wire: Wire, client: Wire) -> None:
    wire.send(cancel_request(client.pid, client.key))
    with pytest.raises(Closed):
        wire.next()


def test_a_running_statement_is_cancelled(sandbox: Sandbox) -> None:
    """Its client hears so, and nobody else."""
    client, other = sandbox.client(), sandbox.client()
    other.run("BEGIN")
    other.run("INSERT INTO items VALUES (1)")
    client.send(query(LONG))
    _until_it_runs(sandbox)
    _cancel(sandbox.raw(), client)

    assert errors(client.until("Z")) == ["57014"]
    assert other.rows("SELECT id FROM items") == [("1",)]


def test_a_cancelled_transaction_has_failed(sandbox: Sandbox) -> None:
    """Up to its rollback, as on the server."""
    client = sandbox.client()
    client.run("BEGIN")
    client.send(query(LONG))
    _until_it_runs(sandbox)
    _cancel(sandbox.raw(), client)

    assert status(client.until("Z")) == "E"
    assert errors(client.run("SELECT 1")) == ["25P02"]
    assert status(client.run("ROLLBACK")) == "I"


def test_a_request_may_come_long_after_its_connection(sandbox: Sandbox) -> None:
    """The connection was there before the statement, the request came after."""
    client, messenger = sandbox.client(), sandbox.raw()
    assert client.value("SELECT 1 + 1") == "2"  # the endpoint knows the other connection by now
    client.send(query(LONG))
    _until_it_runs(sandbox)
    _cancel(messenger, client)

    assert errors(client.until("Z")) == ["57014"]


def test_a_request_may_come_after_its_connection_while_the_server_works(sandbox: Sandbox) -> None:
    """connect() and send() are two calls, between which the endpoint looks."""
    client = sandbox.client()
    client.send(query(LONG))
    _until_it_runs(sandbox)
    messenger = sandbox.raw()
    assert _is_in(sandbox, "PgSleep")
    _cancel(messenger, client)

    assert errors(client.until("Z")) == ["57014"]


def test_a_result_that_nobody_reads_is_cancelled(sandbox: Sandbox) -> None:
    """The thread that cancels may be the one that would have to read."""
    client = sandbox.client()
    client.send(query(LARGE))
    client.until("D")
    for _ in range(20):  # what the server sent has to go a long way
        _until_it_runs(sandbox, "ClientWrite")
    _cancel(sandbox.raw(), client)

    assert errors(client.until("Z")) == ["57014"]
    assert client.value("SELECT 1") == "1"


def test_a_client_that_runs_nothing_is_not_cancelled(sandbox: Sandbox) -> None:
    """Nor is what another one runs."""
    idle, client = sandbox.client(), sandbox.client()
    client.send(query("SELECT pg_sleep(0.3)"))
    _until_it_runs(sandbox)
    _cancel(sandbox.raw(), idle)

    assert errors(client.until("Z")) == []
    assert idle.value("SELECT 1") == "1"


def test_a_wait_for_another_client_is_cancelled(sandbox: Sandbox) -> None:
    """An advisory lock, say."""
    client, other = sandbox.client(), sandbox.client()
    other.run("SELECT pg_advisory_lock(1)")
    client.send(query("SELECT pg_advisory_lock(1)"))
    assert other.value("SELECT 1 + 1") == "2"
    _cancel(sandbox.raw(), client)

    assert errors(client.until("Z")) == ["57014"]
    other.run("SELECT pg_advisory_unlock(1)")
    assert client.value("SELECT pg_try_advisory_lock(1)") == "t"
    client.run("SELECT pg_advisory_unlock(1)")


def test_a_wait_is_cancelled_while_the_server_works_for_another(sandbox: Sandbox) -> None:
    """Who is served at that moment gets its own answer, and whole."""
    client, other, third = sandbox.client(), sandbox.client(), sandbox.client()
    other.run("SELECT pg_advisory_lock(3)")
    client.send(query("SELECT pg_advisory_lock(3)"))
    assert other.value("SELECT 1 + 1") == "2"
    third.send(query("SELECT pg_sleep(0.5); SELECT 'mine'"))
    _until_it_runs(sandbox)
    _cancel(sandbox.raw(), client)

    assert errors(third.until("Z")) == []
    assert errors(client.until("Z")) == ["57014"]
    other.run("SELECT pg_advisory_unlock(3)")
    assert third.value("SELECT 2 + 1") == "3"


@pytest.mark.parametrize(
    ("begin", "then"), [("BEGIN", "E"), ("SELECT 1", "I")], ids=["in a block", "alone"]
)
@pytest.mark.parametrize("request_", [query("COMMIT"), extended("SELECT 1")], ids=["Q", "Sync"])
def test_what_waits_for_its_turn_is_cancelled_at_once(
    sandbox: Sandbox, begin: str, then: str, request_: bytes
) -> None:
    """A server of its own would not let it wait until another client's statement has ended."""
    client, other = sandbox.client(), sandbox.client()
    client.run(begin)
    other.send(query(LONG))
    _until_it_runs(sandbox)
    client.send(request_)
    _cancel(sandbox.raw(), client)

    heard = client.until("Z")
    assert (errors(heard), status(heard)) == (["57014"], then)
    assert _is_in(sandbox, "PgSleep")
    _cancel(sandbox.raw(), other)
    assert errors(other.until("Z")) == ["57014"]
    assert errors(client.run("SELECT 1")) == (["25P02"] if then == "E" else [])


def test_what_waits_for_its_turn_before_a_flush_is_cancelled_at_once(sandbox: Sandbox) -> None:
    """Up to its next Sync nothing more of it runs."""
    client, other = sandbox.client(), sandbox.client()
    other.send(query("SELECT pg_sleep(0.5)"))
    _until_it_runs(sandbox)
    client.send(parse("INSERT INTO items VALUES (1)") + bind() + FLUSH)
    _cancel(sandbox.raw(), client)

    assert errors(client.until("E")) == ["57014"]
    assert _is_in(sandbox, "PgSleep")
    client.send(execute() + SYNC)
    assert errors(client.until("Z")) == []
    assert client.rows("SELECT id FROM items") == []


def test_what_was_sent_behind_what_is_cancelled_has_its_turn(sandbox: Sandbox) -> None:
    """One request cancels one statement."""
    client, other = sandbox.client(), sandbox.client()
    other.send(query("SELECT pg_sleep(0.3)"))
    _until_it_runs(sandbox)
    client.send(query("SELECT 1") + query("SELECT 2"))
    _cancel(sandbox.raw(), client)

    assert errors(client.until("Z")) == ["57014"]
    assert [each.row for each in client.until("Z") if each.kind == "D"] == [("2",)]


def test_what_cannot_be_cancelled_yet_is_cancelled_in_its_turn(sandbox: Sandbox) -> None:
    """The data of a COPY have no answer: the next statement has one."""
    client, other = sandbox.client(), sandbox.client()
    client.send(query("COPY items FROM STDIN"))
    client.until("G")
    other.send(query("SELECT pg_sleep(0.3)"))
    _until_it_runs(sandbox)
    client.send(copy_data(b"1\ta\n") + COPY_DONE)
    _cancel(sandbox.raw(), client)

    assert errors(other.until("Z")) == []
    assert status(client.until("Z")) == "I"
    assert client.value("SELECT 1") == "1"


def test_a_copy_is_cancelled_while_the_server_takes_its_rows(sandbox: Sandbox) -> None:
    """Its client has sent them, and waits for the end: for a trigger, say."""
    client = sandbox.client()
    client.run(SLOW_ROWS)
    client.send(query("COPY items FROM STDIN"))
    client.until("G")
    client.send(copy_data(b"1\ta\n") + COPY_DONE)
    assert [each.fields["M"] for each in client.until("N")] == ["asleep"]
    _until_it_runs(sandbox)
    _cancel(sandbox.raw(), client)

    assert errors(client.until("Z")) == ["57014"]
    assert client.rows("SELECT id FROM items") == []


@pytest.mark.parametrize("end", [query("ROLLBACK"), TERMINATE], ids=["ROLLBACK", "Terminate"])
def test_who_has_waited_is_served_before_who_was_served(sandbox: Sandbox, end: bytes) -> None:
    """The end of a transaction that came while the server worked for another one, say."""
    for _ in range(3):
        client, other = sandbox.client(), sandbox.client()
        client.run("BEGIN")
        client.run("INSERT INTO items VALUES (2)")
        other.run("BEGIN")
        other.send(query("SELECT pg_sleep(0.3)"))
        _until_it_runs(sandbox)
        client.send(end)
        other.send(query("INSERT INTO items VALUES (1)"))
        assert errors(other.until("Z")) == []

        assert errors(other.until("Z")) == []
        assert errors(other.run("COMMIT")) == []
        other.run("DELETE FROM items")


def test_a_statement_ends_by_its_own_time_limit(sandbox: Sandbox) -> None:
    """The server's, or the endpoint's where it waits for another client."""
    client, other = sandbox.client(options="-c statement_timeout=300"), sandbox.client()
    other.run("SELECT pg_advisory_xact_lock(2)")
    other.run("BEGIN")
    other.run("SELECT pg_advisory_xact_lock(2)")

    assert errors(client.run("SELECT pg_sleep(15)")) == ["57014"]
    assert errors(client.run("SELECT pg_advisory_xact_lock(2)")) == ["57014"]
    client.run("SET lock_timeout = 200")
    assert errors(client.run("SELECT pg_advisory_xact_lock(2)")) == ["55P03"]
