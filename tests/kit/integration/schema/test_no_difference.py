"""Nothing is found where nothing differs, however the two schemas came about."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pgsandbox.schema.catalog import read_catalog
from pgsandbox.schema.compare import compare, tables_in_another_order
from pgsandbox.schema.findings import findings
from pgsandbox.schema.schema_objects import Catalog
from tests.kit.integration.databases.conftest import PROGRAMS, LocalServer
from tests.kit.integration.schema import everything
from tests.kit.integration.schema.differences import HERE


class Databases:
    """Empty databases of one server, and what is in them."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.names: list[str] = []

    def make(self, name: str) -> None:
        """Make an empty database."""
        self.server.run("create database {} template template0", name)
        self.names.append(name)

    def made_by(self, name: str, statements: str) -> Catalog:
        """The catalog of a new database that *statements* fill."""
        self.make(name)
        self.server.run(statements, database=name)
        return self.catalog(name)

    def catalog(self, name: str) -> Catalog:
        """What is in a database now."""
        with closing(self.server.connect(name)) as connection:
            return read_catalog(connection)

    def copy_of(self, name: str) -> Catalog:
        """The catalog of a new database into which *name* was dumped and restored."""
        copy = f"{name}_copy"
        self.make(copy)
        version = str(self._version())
        place = ["--host", str(self.server.directory), "--username", "postgres"]
        dump = subprocess.run(
            [PROGRAMS[version] / "pg_dump", *place, name], check=True, capture_output=True
        )
        psql = shutil.which("psql", path=str(PROGRAMS[version])) or "psql"
        subprocess.run(
            [psql, *place, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", copy],
            check=True,
            capture_output=True,
            input=dump.stdout,
        )
        return self.catalog(copy)

    def _version(self) -> int:
        [[number]] = self.server.run("show server_version_num")
        return int(number) // 10000


@pytest.fixture
def databases(running_server: LocalServer) -> Iterator[Databases]:
    """A server to make databases on."""
    databases = Databases(running_server)
    yield databases
    for name in databases.names:
        running_server.run("drop database {} with (force)", name)


@pytest.fixture
def modelled(databases: Databases) -> Catalog:
    """What SQLAlchemy makes of the models that use everything."""
    return databases.made_by("modelled", everything.statements())


Compare = Callable[[Catalog, Catalog], list[str]]


@pytest.fixture
def found() -> Compare:
    """The findings of a comparison, in words."""

    def found(left: Catalog, right: Catalog) -> list[str]:
        return [each.message for each in findings(compare(left, right), right)]

    return found


def test_the_same_statements(databases: Databases, found: Compare) -> None:
    """Two databases in which everything has other OIDs."""
    statements = (HERE / "base.sql").read_text()
    first = databases.made_by("first", statements)
    second = databases.made_by(
        "second", "create table gone (id serial); drop table gone;" + statements
    )

    assert len(first.objects) > 100
    assert found(first, second) == []
    assert found(second, first) == []


def test_a_copy(databases: Databases, found: Compare) -> None:
    """What pg_dump writes and psql reads."""
    first = databases.made_by("first", (HERE / "base.sql").read_text())
    second = databases.copy_of("first")

    assert found(first, second) == []
    assert found(second, first) == []


def test_models_and_a_hand_written_history(
    databases: Databases, modelled: Catalog, found: Compare
) -> None:
    """Other words, another order, renamed and retyped and dropped columns, the same schema."""
    written = databases.made_by("written", (HERE / "everything.sql").read_text())

    assert len(modelled.objects) > 80
    assert found(modelled, written) == []
    assert found(written, modelled) == []
    assert "public.people" in tables_in_another_order(modelled, written)


def test_models_and_a_copy_of_what_they_make(
    databases: Databases, modelled: Catalog, found: Compare
) -> None:
    """As above, for everything that SQLAlchemy can say."""
    copy = databases.copy_of("modelled")

    assert found(modelled, copy) == []
    assert found(copy, modelled) == []


def test_parameters_of_the_database(databases: Databases, found: Compare) -> None:
    """How a database writes its constants is one difference, and not one for each constant."""
    statements = (
        "create table t (at timestamptz default '2025-01-01', last interval default '1 day')"
    )
    first = databases.made_by("first", f"set timezone to 'UTC'; {statements}")
    databases.make("second")
    databases.server.run("alter database second set timezone to 'Asia/Tokyo'")
    databases.server.run("alter database second set intervalstyle to 'iso_8601'")
    databases.server.run(f"set timezone to 'UTC'; {statements}", database="second")
    codes = [each.code for each in compare(first, databases.catalog("second"))]

    assert codes == ["setting-unexpected", "setting-unexpected"]
