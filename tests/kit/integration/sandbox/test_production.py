"""Three connections at random, in the sandbox and for real: the result is the same.

Each seed's script is played twice, on connections of the sandbox and on as many real ones to
another database with the same tables. After each step every connection must see the same rows of
its own, and raise an error where the real one does. Where one connection can't express the result
the sandbox may say so, and the script ends there.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest
from pgsandbox.sandbox.drivers import module_of
from pgsandbox.sandbox.link import Link
from sqlalchemy.engine import URL

from pgsandbox import servers
from pgsandbox.errors import TransactionsInterleaved
from pgsandbox.sandbox import Enclosure
from pgsandbox.servers import Server
from pgsandbox.wiring import target_of
from tests.kit.integration.sandbox.conftest import DRIVERS
from tests.kit.transactions import Step, script

SEEDS = range(150)
CONNECTIONS = 3

_TABLES = """
    CREATE TABLE parents (number integer PRIMARY KEY);
    CREATE TABLE rows (
        connection integer,
        number integer PRIMARY KEY,
        parent integer REFERENCES parents DEFERRABLE INITIALLY DEFERRED
    );
    CREATE FUNCTION add_row(integer, integer) RETURNS integer LANGUAGE sql AS
        $$ INSERT INTO rows VALUES ($1, $2) RETURNING number $$;
"""
_SQL = {
    "insert": "INSERT INTO rows VALUES ({connection}, {number})",
    "break": "INSERT INTO rows VALUES ({connection}, {number}, {number})",
    "call": "SELECT add_row({connection}, {number})",
    "read": "SELECT number FROM rows WHERE connection = {connection}",
    "lock": "SELECT number FROM rows WHERE connection = {connection} FOR UPDATE",
    "fail": "INSERT INTO rows VALUES ({connection}, {number}), ({connection}, {number})",
    "savepoint": "SAVEPOINT {name}",
    "release": "RELEASE SAVEPOINT {name}",
    "rollback to": "ROLLBACK TO SAVEPOINT {name}",
}


@dataclass
class World:
    """Connections to one database, real ones or stand-ins."""

    connections: list[Any]
    failed: set[int] = field(default_factory=set)
    """The places of those in whose transaction a statement failed."""

    def do(self, step: Step) -> str:
        """Let a connection take *step*, and return the name of the error that it raised."""
        connection = self.connections[step.connection]
        try:
            if step.verb in ("commit", "rollback"):
                self.failed.discard(step.connection)
                getattr(connection, step.verb)()
            else:
                connection.cursor().execute(_SQL[step.verb].format(**step._asdict()))
        except TransactionsInterleaved:
            raise
        except Exception as error:  # noqa: BLE001  # the driver's, whichever it is
            if step.verb == "fail" and not connection.autocommit:
                self.failed.add(step.connection)
            return type(error).__name__
        if step.verb == "rollback to":
            self.failed.discard(step.connection)
        return ""

    def rows(self) -> list[list[int]]:
        """Return what each connection sees of its own rows, while it can see anything."""
        return [self._rows_of(place) for place in range(len(self.connections))]

    def _rows_of(self, place: int) -> list[int]:
        if place in self.failed:
            return []
        cursor = self.connections[place].cursor()
        cursor.execute(f"SELECT number FROM rows WHERE connection = {place} ORDER BY 1")
        return [number for (number,) in cursor.fetchall()]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """An embedded server."""
    server = servers.embedded(reason="two worlds are compared")
    yield server
    server.release()


@pytest.fixture(scope="module")
def names(server: Server) -> Iterator[list[str]]:
    """Two databases with the same tables: one for the sandbox, one for real."""
    names = [f"pgsandbox_{kind}_{secrets.token_hex(4)}" for kind in ("sandbox", "real")]
    with closing(server.connect()) as connection:
        connection.autocommit = True
        for name in names:
            connection.cursor().execute(f"CREATE DATABASE {name}")
            with closing(server.connect(name)) as inside, inside:
                inside.cursor().execute(_TABLES)
        yield names
        for name in names:
            connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """SQLAlchemy's name of the driver."""
    return str(request.param)


@pytest.fixture
def enclosure(server: Server, names: list[str], driver: str) -> Iterator[Enclosure]:
    """The sandbox's database."""
    url = server.url_of(names[0], f"postgresql+{driver}")
    enclosure = Enclosure("default", url, target_of(url))
    enclosure.open(driver)
    yield enclosure
    enclosure.close()


def _sandboxed(enclosure: Enclosure, driver: str) -> World:
    kind = enclosure.url.get_dialect()
    dialect = kind()
    dialect.dbapi = kind.import_dbapi()
    connections = []
    for place in range(CONNECTIONS):
        link = Link(lambda: enclosure.sandbox_of(dialect, "a script"), f"connection {place}")
        link.is_in_use = True
        connections.append(module_of(driver).stand_in(link, {}))
    return World(connections)


def _real(server: Server, name: str, driver: str) -> World:
    url: URL = server.url_of(name, f"postgresql+{driver}")
    _, parameters = url.get_dialect()().create_connect_args(url)
    module = import_module(driver)
    return World([module.connect(**parameters) for _ in range(CONNECTIONS)])


@dataclass
class Compared:
    """How the scripts of all seeds went."""

    differences: list[str] = field(default_factory=list)
    interleaved: int = 0
    finished: int = 0


def _compare(sandboxed: World, real: World, seed: int, compared: Compared) -> None:
    taken: list[str] = []
    sandbox = sandboxed.connections[0].link.sandbox
    autocommit = seed % 4 == 0
    sandboxed.connections[-1].autocommit = real.connections[-1].autocommit = autocommit
    for step in script(seed, steps=5 + seed % 20, breaks=seed % 3 == 0, autocommit=autocommit):
        taken.append(str(step))
        expected = real.do(step)
        try:
            raised = sandboxed.do(step)
            if sandbox.stack.is_pending:  # nobody may look now
                continue
            mine, theirs = sandboxed.rows(), real.rows()
        except TransactionsInterleaved:
            compared.interleaved += 1
            return
        if (raised, mine) != (expected, theirs):
            compared.differences.append(f"seed {seed}: {', '.join(taken)}: {raised} {mine}")
            return
    compared.finished += 1


def test_the_result_is_productions_or_a_named_error(
    server: Server, names: list[str], driver: str, enclosure: Enclosure
) -> None:
    """After each step of each script every connection sees the same rows of its own."""
    compared = Compared()
    with closing(server.connect(names[1])) as cleaner:
        cleaner.autocommit = True
        for seed in SEEDS:
            sandboxed, real = _sandboxed(enclosure, driver), _real(server, names[1], driver)
            _compare(sandboxed, real, seed, compared)
            enclosure.finish("a script")
            for connection in (*sandboxed.connections, *real.connections):
                connection.close()
            cleaner.cursor().execute("DELETE FROM rows")

    assert compared.differences == []
    assert compared.finished > len(SEEDS) / 3
    assert compared.interleaved > 0
