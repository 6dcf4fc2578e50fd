"""Runs of the example projects with the rows, once per driver for all tests of a module."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import psycopg2
import pytest

from tests.kit.external import External, external_server
from tests.kit.integration.plugin.projects import Project
from tests.kit.integration.recorded import EXAMPLES

DRIVERS = ("psycopg", "psycopg2")
"""By day, the first is tried: the other one is what most projects of these tests use."""
ASYNCHRONOUS = ("asyncpg", "psycopg")


@dataclass(frozen=True)
class Case:
    """What became of one test of the project."""

    name: str
    """Its name with its parameters."""
    outcome: str
    """``passed``, ``skipped``, ``failure`` (in its body) or ``error`` (around it)."""
    text: str
    """What its report says."""


Cases = Mapping[str, tuple[Case, ...]]
"""The tests that ran, by the name of their function."""
RunRows = Callable[..., Cases]


@dataclass
class Development:
    """The shop's own databases, with rows in them, and the server's count of who came."""

    external: External
    counted: list[tuple[str, int, int, int]] = field(default_factory=list)
    """What was counted before the first run."""

    def create(self) -> None:
        """Make the role and the databases of the production settings."""
        rules = self.external.hold.instance.data / "pg_hba.conf"
        # Checking a password costs more than a test does, and these make a thousand connections.
        rules.write_text(f"host all shop 127.0.0.1/32 trust\n{rules.read_text()}")
        self.external.execute(
            "CREATE ROLE shop LOGIN CREATEDB PASSWORD 'secret'", "SELECT pg_reload_conf()"
        )
        for name in ("shop", "shop_reports", "shop_audit"):
            self.external.execute(f"CREATE DATABASE {name} OWNER shop")
        with closing(psycopg2.connect(dsn=self._url("shop"))) as connection, connection:
            connection.cursor().execute(
                "CREATE TABLE items (id serial PRIMARY KEY, name text UNIQUE);"
                "INSERT INTO items (name) VALUES ('of a customer')"
            )
        self.counted = self.counts()

    def counts(self) -> list[tuple[str, int, int, int]]:
        """Sessions, commits and rollbacks of each database since the server was started."""
        self.external.wait_until_left("shop", "shop_reports", "shop_audit")
        with closing(psycopg2.connect(dsn=self._url("postgres"))) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT datname, sessions, xact_commit, xact_rollback FROM pg_stat_database"
                " WHERE datname IN ('shop', 'shop_reports', 'shop_audit') ORDER BY 1"
            )
            return cursor.fetchall()

    def _url(self, name: str) -> str:
        return f"postgresql://shop:secret@127.0.0.1:{self.external.port}/{name}"


@pytest.fixture(scope="session")
def development() -> Iterator[Development]:
    """A server on which nothing happens by itself, where the production settings lead."""
    with external_server(None, "autovacuum=off", "max_prepared_transactions=5") as external:
        found = Development(external)
        found.create()
        yield found


@pytest.fixture(scope="session")
def run_rows(tmp_path_factory: pytest.TempPathFactory, development: Development) -> RunRows:
    """Run the project with a driver and pytest's arguments, and return what became of each test.

    The engines are made at import time from settings that lead to the development databases, and
    the test databases are made on the same server.
    """

    def run(driver: str, *arguments: str, project: str = "sandbox_rows") -> Cases:
        path = tmp_path_factory.mktemp("sandbox") / project
        shutil.copytree(EXAMPLES / project, path)
        Project(path).run(
            "--junitxml=report.xml",
            *arguments,
            seconds=180,
            SHOP_DRIVER=driver,
            SHOP_ADDRESS=f"127.0.0.1:{development.external.port}",
        )
        return _cases(path / "report.xml")

    return run


def _cases(report: Path) -> Cases:
    found: dict[str, dict[str, Case]] = {}
    for element in ET.parse(report).iter("testcase"):  # noqa: S314  # our own file
        case = _case(element)
        names = found.setdefault(case.name.partition("[")[0], {})
        names[case.name] = case
    return {function: tuple(cases.values()) for function, cases in found.items()}


def _case(element: ET.Element) -> Case:
    parts = [part for part in element if part.tag in ("skipped", "failure", "error")]
    text = "\n".join(f"{part.get('message')}\n{part.text}" for part in parts)
    return Case(element.attrib["name"], parts[0].tag if parts else "passed", text)
