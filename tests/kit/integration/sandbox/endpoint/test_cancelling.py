"""Requests to cancel, which come on a connection of their own, at any moment."""

from __future__ import annotations

import time

import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    SECONDS,
    Closed,
    Wire,
    cancel_request,
    errors,
    query,
    status,
)

LONG = "SELECT pg_sleep(15)"
"""Within the time that a client of these tests waits for an answer, but not by itself."""
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
