"""``TEST_DATABASE_URL`` names the application's own database, in every spelling there is.

A whole run is made and ended each time. The database is full of somebody's data, and the server
counts who comes and what is committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.engine import URL

from pgsandbox import config
from pgsandbox.connections import Connection
from pgsandbox.plugin.active import ActivePlugin
from pgsandbox.servers import libpq
from pgsandbox.wiring import Run
from tests.kit.external import PASSWORD, External, external_server

metadata = MetaData()
Table("of_the_kit", metadata, Column("id", Integer, primary_key=True))

LONGEST = "s" * 63
OWN = ["shop", "Shop", "shop_test", LONGEST]
"""The application's databases; one has a name that looks like one of the kit's."""

SPELLINGS = {
    "address": "postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/shop",
    "host name": "postgresql+psycopg2://postgres:{password}@localhost:{port}/shop",
    "HOST NAME": "postgresql+psycopg2://postgres:{password}@LOCALHOST:{port}/shop",
    "socket": "postgresql+psycopg2://postgres@/shop?host={directory}&port={port}",
    "other driver": "postgresql+psycopg://postgres:{password}@127.0.0.1:{port}/shop",
    "async driver": "postgresql+asyncpg://postgres:{password}@127.0.0.1:{port}/shop",
    "platform": "postgres://postgres:{password}@127.0.0.1:{port}/shop",
    "mixed case": "postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/Shop",
    "encoded": "postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/%73h%6Fp",
    "cut": "postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/{longest}_test",
    "longest": "postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/{longest}",
    "looks right": "postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/shop_test",
    "option": "postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/?dbname=shop",
    "two names": "postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/x?dbname=shop",
    "all options": "postgresql+psycopg2://?host=127.0.0.1&port={port}&dbname=shop"
    "&user=postgres&password={password}",
    "two addresses": "postgresql+psycopg2://postgres:{password}@localhost:{port}/shop"
    "?hostaddr=127.0.0.1",
    "two hosts": "postgresql+psycopg2://postgres:{password}@/shop"
    "?host=127.0.0.1:{port}&host=localhost:{port}",
    "variables": "postgresql+psycopg2://",
    "a variable": "postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}",
    "service": "postgresql+psycopg2://?service=production",
}


@pytest.fixture(scope="module")
def external() -> Iterator[External]:
    """A server with the application's databases, on which nothing happens by itself."""
    with external_server(None, "autovacuum=off") as server:
        for name in OWN:
            server.execute(f'CREATE DATABASE "{name}"')
            url = server.hold.instance.url.set(database=name)
            with closing(libpq.connect(url)) as connection:
                connection.cursor().execute("CREATE TABLE orders AS SELECT 'kept' AS word")
        yield server


def look(external: External) -> list[tuple[object, ...]]:
    """What the server counted of the application's databases, and how it describes them."""
    external.wait_until_left(*OWN)
    with closing(libpq.connect(external.hold.instance.url)) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT d.*, shobj_description(d.oid, 'pg_database'), s.setconfig, t.sessions,"
            " t.xact_commit, t.xact_rollback, t.tup_inserted, t.tup_deleted"
            " FROM pg_database d JOIN pg_stat_database t ON t.datid = d.oid"
            " LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid"
            " WHERE d.datname <> 'postgres' ORDER BY d.oid"
        )
        return cursor.fetchall()


@pytest.fixture(scope="module", autouse=True)
def alone(pytestconfig: pytest.Config) -> Iterator[None]:
    """Let the runs that are made here be the only ones in this process that refuse anything."""
    plugin = pytestconfig.pluginmanager.getplugin("pgsandbox-active")
    assert isinstance(plugin, ActivePlugin)
    plugin.run.interceptor.remove()
    yield
    plugin.run.interceptor.install()
    plugin.run.interceptor.free_the_drivers()


@pytest.fixture
def environment(
    external: External, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, str]]:
    """The variables that some of the spellings need."""
    address = {"PGHOST": "127.0.0.1", "PGPORT": str(external.port), "PGDATABASE": "shop"}
    services = tmp_path / "services"
    services.write_text(
        f"[production]\nhost=127.0.0.1\nport={external.port}\nuser=postgres\n"
        f"password={PASSWORD}\ndbname=shop\n"
    )
    return {
        "variables": {**address, "PGUSER": "postgres", "PGPASSWORD": PASSWORD},
        "a variable": {"PGDATABASE": "shop"},
        "service": {"PGSERVICEFILE": str(services)},
    }


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_applications_own_database_is_never_touched(
    external: External,
    environment: dict[str, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spelling: str,
) -> None:
    """The run takes another name, and nobody connects to what was named."""
    for name, value in environment.get(spelling, {}).items():
        monkeypatch.setenv(name, value)
    url = SPELLINGS[spelling].format(
        password=PASSWORD.replace(" ", "%20"),
        port=external.port,
        directory=external.hold.instance.url.query["host"],
        longest=LONGEST,
    )
    before = look(external)

    used = run(tmp_path, url)
    assert look(external) == before
    assert used
    assert not set(OWN) & set(used)


def run(root: Path, url: str) -> list[str]:
    """Make a run's database at *url* and drop it again; return its name."""
    (root / "pyproject.toml").write_text(f'[tool.pgsandbox]\nmetadata = "{__name__}:metadata"\n')
    settings = config.read(root, {"TEST_DATABASE_URL": url}, {})
    assert settings is not None
    made = Run(settings)
    made.interceptor.install()
    try:
        made.start()
        return [run_database.owned.name for run_database in made.run_databases.values()]
    finally:
        made.stop()
        made.interceptor.remove()


def test_a_run_is_made_over_one_connection_and_ended_over_another(
    external: External, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs the server a process; a third looks at it first, and a fourth holds the lease."""
    made, connect = [], libpq.connect

    def counted(url: URL, **options: float) -> Connection:
        made.append(url)
        return connect(url, **options)

    monkeypatch.setattr(libpq, "connect", counted)
    run(tmp_path, SPELLINGS["address"].format(password="correct%20horse", port=external.port))

    assert len(made) == 4


def test_the_data_is_still_there(external: External) -> None:
    """A look inside, last of all since it counts as a session."""
    words = []
    for name in OWN:
        url = external.hold.instance.url.set(database=name)
        with closing(libpq.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("TABLE orders")
            words += cursor.fetchall()

    assert words == [("kept",)] * len(OWN)
