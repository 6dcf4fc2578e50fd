"""An endpoint in front of a fresh database of the embedded server, and clients of both."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from pgsandbox import servers
from pgsandbox.sandbox.endpoint_process import PORT, EndpointProcess
from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import make_project
from tests.kit.integration.sandbox.endpoint.wire import Wire

__all__ = ["make_project", "server"]

TABLES = """
    CREATE TABLE items (id integer PRIMARY KEY, name text NOT NULL DEFAULT '');
    CREATE SEQUENCE numbers;
    CREATE FUNCTION warn(text) RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN RAISE WARNING '%', $1; END $$;
"""


@dataclass
class Sandbox:
    """One endpoint, the database behind it, and a test that runs."""

    process: EndpointProcess
    database: str
    host: str
    """Where the server's socket is."""
    stack: ExitStack
    """Closes the clients of one test."""

    @property
    def pid(self) -> int:
        """The process id of the endpoint."""
        return self.process._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the endpoint still works."""
        return self.process._process.poll() is None

    @property
    def path(self) -> Path:
        """The endpoint's socket."""
        return self.process.folder / f".s.PGSQL.{PORT}"

    def parameters(self, **more: str) -> dict[str, str]:
        """What a client says of itself."""
        return {"user": "postgres", "database": self.database, **more}

    def raw(self) -> Wire:
        """A connection that has said nothing yet."""
        return self.stack.enter_context(Wire(self.path))

    def client(self, **more: str) -> Wire:
        """A connection that was let in."""
        wire = self.raw()
        heard = wire.start(self.parameters(**more))
        assert heard[-1].kind == "Z", heard[-1].fields
        return wire

    def raw_direct(self) -> Wire:
        """A connection to the server itself that has said nothing yet, to compare with."""
        return self.stack.enter_context(Wire(Path(self.host, f".s.PGSQL.{PORT}")))

    def direct(self, **more: str) -> Wire:
        """A connection to a database of the server itself with the same tables."""
        wire = self.raw_direct()
        wire.start(self.parameters(database=f"{self.database}_real") | more)
        return wire

    @property
    def dsn(self) -> dict[str, Any]:
        """How psycopg and psycopg2 connect to it."""
        return {
            "host": str(self.process.folder),
            "port": PORT,
            "user": "postgres",
            "dbname": self.database,
        }

    def outside(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows that somebody sees who is not in the test."""
        with closing(_connect(self.host, "postgres")) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def finish(self) -> dict[str, Any]:
        """End the running test."""
        found: dict[str, Any] = self.process.call(
            "finish", test="a test", by_a_child=False, is_over=True
        )
        return found


def _connect(host: str, database: str) -> Any:
    connection = psycopg2.connect(host=host, port=PORT, user="postgres", dbname=database)
    connection.autocommit = True
    return connection


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The embedded server that projects use, too."""
    server = servers.embedded(reason="a test looks on")
    yield server
    server.release()


@pytest.fixture(scope="session")
def database(server: Server) -> Iterator[tuple[str, str]]:
    """The folder of the server's socket, and the name of a database with a few tables."""
    host, name = str(server.url.query["host"]), f"wire_{secrets.token_hex(4)}"
    with closing(_connect(host, "postgres")) as administrator:
        cursor = administrator.cursor()
        try:
            for each in (name, f"{name}_real"):
                cursor.execute(f"CREATE DATABASE {each}")
                with closing(_connect(host, each)) as connection:
                    connection.cursor().execute(TABLES)
            yield host, name
        finally:
            for each in (name, f"{name}_real"):
                cursor.execute(f"DROP DATABASE IF EXISTS {each} WITH (FORCE)")


def errors_of(said: dict[str, Any]) -> list[str]:
    """What a test's end found, with its facts, as a failing assertion prints it."""
    return [f"{each['headline']} {each['facts']}" for each in said["errors"]]


def vacuum(database: tuple[str, str]) -> None:
    """Give back the space of rows that earlier tests have rolled back."""
    visit(database, "VACUUM items")


def visit(database: tuple[str, str], statement: str = "SELECT 1") -> None:
    """Run *statement* past the endpoint, which then looks for what somebody else has changed."""
    with closing(_connect(*database)) as connection:
        connection.cursor().execute(statement)


Start = Callable[[], Sandbox]


@pytest.fixture(scope="session")
def start_endpoint(database: tuple[str, str]) -> Iterator[Start]:
    """Start an endpoint, which ends with the run."""
    host, name = database
    with ExitStack() as stack:

        def start() -> Sandbox:
            process = EndpointProcess()
            stack.callback(process.close)
            parameters = {"host": host, "port": str(PORT), "user": "postgres", "database": name}
            process.call("open", parameters=parameters, restarts_sequences=False)
            return Sandbox(process, name, host, ExitStack())

        yield start


@pytest.fixture(scope="session")
def running(start_endpoint: Start) -> list[Sandbox]:
    """The endpoint that the tests share for as long as it lives."""
    return [start_endpoint()]


@pytest.fixture
def sandbox(
    running: list[Sandbox], start_endpoint: Start, request: pytest.FixtureRequest
) -> Iterator[Sandbox]:
    """An endpoint in which this test runs; at its end it lives, and nothing is left."""
    if not running[-1].is_alive:
        running.append(start_endpoint())
    sandbox = running[-1]
    sandbox.process.tell("enter", test=request.node.nodeid)
    with ExitStack() as stack:
        sandbox.stack = stack
        yield sandbox
    said = sandbox.finish()
    if said["is_in_doubt"]:
        running.append(start_endpoint())

    assert sandbox.is_alive
    assert errors_of(said) == []
    assert not said["is_in_doubt"]
