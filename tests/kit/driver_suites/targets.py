"""Where a suite runs: on a database of its own, on real connections or through the endpoint.

Each target has a server of its own, as suites make roles, end sessions and count them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sqlalchemy.engine import URL

from pgsandbox.sandbox.endpoint_process import EndpointProcess
from pgsandbox.servers import libpq
from tests.kit.external import External, external_server

_USER = "postgres"
_PASSWORD = "suite"  # psycopg2's suite writes it into a DSN unquoted


@dataclass(frozen=True)
class Target:
    """What a suite is told to connect to."""

    host: str
    port: int
    user: str
    password: str
    database: str

    def dsn(self) -> str:
        """As libpq takes it."""
        return (
            f"host={self.host} port={self.port} user={self.user} password={self.password}"
            f" dbname={self.database}"
        )

    def url(self, driver: str) -> str:
        """As SQLAlchemy takes it."""
        url = URL.create(
            f"postgresql+{driver}", self.user, self.password, self.host, self.port, self.database
        )
        return url.render_as_string(hide_password=False)


@dataclass(frozen=True)
class Circumstances:
    """What a suite finds, whatever it connects through."""

    binaries: Path | None = None
    """The folder of PostgreSQL's programs; the embedded server's if none is given."""
    settings: tuple[str, ...] = ()
    """Of the server: ``max_prepared_transactions=10``."""
    database: str = "suite_test"
    """Its database, which is made unless the server comes with it."""
    schemas: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    """Those among them that the server does not have are left out."""


@contextmanager
def real(circumstances: Circumstances) -> Iterator[Target]:
    """A fresh database that is connected to directly."""
    with _server(circumstances) as server:
        yield _target_of(server, circumstances)


@contextmanager
def endpoint(circumstances: Circumstances) -> Iterator[Target]:
    """A fresh database behind the endpoint, which holds one test's transaction for all clients."""
    with (
        _server(circumstances) as server,
        start_endpoint(_target_of(server, circumstances)) as target,
    ):
        yield target


@contextmanager
def start_endpoint(behind: Target) -> Iterator[Target]:
    """The endpoint of one test's transaction in the database *behind*, on loopback TCP."""
    process = EndpointProcess()
    try:
        parameters = {name: str(value) for name, value in asdict(behind).items()}
        process.call("open", parameters=parameters, restarts_sequences=False)
        port = process.call("listen_on_tcp", password=behind.password)
        process.call("enter", test="a suite")
        yield replace(behind, host="127.0.0.1", port=port)
    finally:
        process.close()


TARGETS = {"real": real, "endpoint": endpoint}


@contextmanager
def _server(circumstances: Circumstances) -> Iterator[External]:
    database = circumstances.database
    with external_server(circumstances.binaries, *circumstances.settings) as server:
        server.execute(f"ALTER ROLE {_USER} PASSWORD '{_PASSWORD}'")
        if database != _USER:
            server.execute(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'")
        url = server.url.set(database=database, password=_PASSWORD)
        with closing(libpq.connect(url)) as connection, connection.cursor() as cursor:
            for schema in circumstances.schemas:
                cursor.execute(f"CREATE SCHEMA {schema}")
            cursor.execute("SELECT name FROM pg_available_extensions")
            available = {name for (name,) in cursor.fetchall()}
            for extension in available.intersection(circumstances.extensions):
                cursor.execute(f"CREATE EXTENSION {extension}")
        yield server


def _target_of(server: External, circumstances: Circumstances) -> Target:
    return Target("127.0.0.1", server.port, _USER, _PASSWORD, circumstances.database)
