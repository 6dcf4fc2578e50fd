"""One client ends another by its process id: pg_terminate_backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import psycopg
import pytest

from pgsandbox.sandbox.endpoint_process import EndpointProcess
from tests.kit.external import external_server
from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import Wire, errors, extended, rows

BY = [
    lambda client, pid: client.run(f"SELECT pg_terminate_backend({pid})"),
    lambda client, pid: client.ask(extended("SELECT pg_catalog.pg_terminate_backend($1)", pid)),
    lambda client, pid: client.run(f"SELECT * FROM pg_terminate_backend({pid}, 10)"),
    lambda client, pid: client.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND application_name = 'victim'"
    ),
]


@pytest.mark.parametrize("end", BY, ids=["text", "bound", "table", "activity"])
def test_a_client_is_ended_by_another(
    sandbox: Sandbox, end: Callable[[Wire, str], list[object]]
) -> None:
    """It hears why, what it had not committed is undone, and everybody else goes on."""
    client, victim = sandbox.client(), sandbox.client(application_name="victim")
    pid = victim.value("SELECT pg_backend_pid()")
    victim.run("INSERT INTO items VALUES (1)")
    victim.run("BEGIN; INSERT INTO items VALUES (2)")

    assert rows(end(client, str(pid))) == [("t",)]  # type: ignore[arg-type]
    assert errors(victim.until("E")) == ["57P01"]
    assert client.rows("SELECT id FROM items") == [("1",)]
    assert sandbox.client().rows("SELECT id FROM items") == [("1",)]
    assert sandbox.finish()["errors"] == []


def test_an_application_connects_again(sandbox: Sandbox) -> None:
    """Its driver raises what it raises when an administrator ended the connection."""
    client = sandbox.client()
    with contextlib.closing(psycopg.connect(**sandbox.dsn)) as connection:
        client.run(f"SELECT pg_terminate_backend({connection.info.backend_pid})")

        with pytest.raises(psycopg.OperationalError, match="administrator command"):
            connection.execute("SELECT 1")
        assert connection.closed


def test_an_id_that_nobody_has(sandbox: Sandbox) -> None:
    """Nobody is ended, and the server says so."""
    client = sandbox.client()
    heard = client.run("SELECT pg_terminate_backend(1999999999), pg_terminate_backend(NULL)")

    assert rows(heard) == [("f", None)]
    assert client.value("SELECT 1") == "1"


def test_a_client_that_ends_itself_loses_the_test(sandbox: Sandbox) -> None:
    """By whatever it knows its process id from."""
    client = sandbox.client()
    pid = client.value("SELECT pg_backend_pid()")
    client.run(f"SELECT pg_terminate_backend({pid})")

    assert [each["class"] for each in sandbox.finish()["errors"]] == ["SandboxLost"]


def test_a_server_that_refuses_the_next_session_is_no_fault_of_ours() -> None:
    """As while it recovers from a crash: the client hears that the test is lost, and why."""
    with (
        external_server() as server,
        contextlib.closing(EndpointProcess()) as process,
        contextlib.ExitStack() as stack,
    ):
        server.execute("create role tester login password 'before'")
        parameters = {"host": "127.0.0.1", "port": str(server.port), "user": "tester"}
        parameters |= {"password": "before", "database": "postgres"}
        process.call("open", parameters=parameters, restarts_sequences=False)
        sandbox = Sandbox(process, "postgres", "", stack)
        process.tell("enter", test="a test")
        server.execute(
            "alter role tester password 'after'",
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'tester'",
        )
        heard = sandbox.client().run("SELECT 1")
        said = sandbox.finish()

    assert errors(heard) == ["57P01"]
    assert heard[0].fields["M"].startswith("SandboxLost: The connection that holds the test")
    assert 'password authentication failed for user "tester"' in heard[0].fields["D"]
    assert said["errors"] == []
    assert said["is_lost"]
    assert said["has_told_loss"]
