"""The chapter "Keep tests away from your data": its two projects, and its table of attacks.

Both projects run against a development database on a server of these tests' own, since the first
one empties it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from tests.kit.external import External, external_server
from tests.kit.integration.plugin.projects import Outcome, Project
from tests.kit.integration.recorded import EXAMPLES, normalised, recorded


@dataclass(frozen=True)
class Shop:
    """The development database: the order of a customer is in it."""

    external: External

    @property
    def url(self) -> str:
        """Its URL, as a developer's environment names it."""
        return f"postgresql+psycopg2://shop:secret@127.0.0.1:{self.external.port}/shop"

    def stock(self) -> None:
        """Make it anew, with one order."""
        self.external.execute(
            "DROP DATABASE IF EXISTS shop WITH (FORCE)", "CREATE DATABASE shop OWNER shop"
        )
        self._inside(
            "CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL);"
            "INSERT INTO orders (item) VALUES ('of a customer') RETURNING item"
        )

    def items(self) -> list[tuple[str]]:
        """What was bought, as it stands there now."""
        return self._inside("SELECT item FROM orders")

    def sessions(self) -> int:
        """How many sessions it has had since it was made."""
        self.external.wait_until_left("shop")
        [(count,)] = self._inside(
            "SELECT sessions FROM pg_stat_database WHERE datname = 'shop'", "postgres"
        )
        return count

    def _inside(self, sql: str, database: str = "shop") -> list[tuple]:
        url = self.url.replace("+psycopg2", "").removesuffix("shop") + database
        with (
            closing(psycopg2.connect(url)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            return cursor.fetchall()


@pytest.fixture(scope="module")
def external() -> Iterator[External]:
    """A server of these tests' own, where nothing happens by itself."""
    with external_server(None, "autovacuum=off") as server:
        server.execute("CREATE ROLE shop LOGIN CREATEDB PASSWORD 'secret'")
        yield server


@pytest.fixture
def shop(external: External) -> Shop:
    """The development database, as a developer left it in the evening."""
    shop = Shop(external)
    shop.stock()
    return shop


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, shop: Shop) -> Run:
    """Run a copy of an example, with lines added to its pyproject.toml."""

    def run(name: str, settings: str = "") -> Outcome:
        path = tmp_path / "shop"
        shutil.copytree(EXAMPLES / name, path)
        with (path / "pyproject.toml").open("a") as file:
            file.write(f"\n{settings}")
        return Project(path).run(DATABASE_URL=shop.url)

    return run


REDIRECTED = (EXAMPLES / "purging" / "redirected.toml").read_text()


def test_before_the_development_database_is_emptied(run: Run, shop: Shop) -> None:
    """The tests pass, and the customer's order is gone."""
    outcome = run("purging/before")

    assert outcome.counts == {"passed": 1}
    assert ("of a customer",) not in shop.items()


def test_with_the_kit_the_same_tests_are_refused(run: Run, shop: Shop) -> None:
    """Without redirect: nothing is opened, and the message says what to set."""
    outcome = run("purging/before", REDIRECTED.replace("redirect = true", ""))
    sessions = shop.sessions()

    assert outcome.counts == {"errors": 1}
    assert "ForeignDatabase" in outcome.text
    assert "redirect = true" in outcome.text
    assert shop.items() == [("of a customer",)]
    assert sessions == 1


def test_with_redirect_the_same_tests_pass(run: Run, shop: Shop) -> None:
    """They empty the test database, in a transaction that is rolled back."""
    outcome = run("purging/before", REDIRECTED)
    sessions = shop.sessions()

    assert outcome.counts == {"passed": 1}
    assert shop.items() == [("of a customer",)]
    assert sessions == 1


def test_after_nothing_reaches_the_development_database(run: Run, shop: Shop) -> None:
    """No import, no redirect, no purge; and the data is where it was."""
    outcome = run("purging/after")
    sessions = shop.sessions()

    assert outcome.counts == {"passed": 1}
    assert shop.items() == [("of a customer",)]
    assert sessions == 1


def test_after_the_old_fixture_can_do_no_harm(shop: Shop, tmp_path: Path) -> None:
    """Somebody copies it back: every test is in error, and nothing is emptied."""
    shutil.copytree(EXAMPLES / "purging" / "after", tmp_path / "copied")
    shutil.copy(
        EXAMPLES / "purging" / "before" / "tests" / "conftest.py", tmp_path / "copied/tests"
    )
    outcome = Project(tmp_path / "copied").run(DATABASE_URL=shop.url)
    sessions = shop.sessions()

    assert outcome.counts == {"errors": 1}
    assert "ForeignDatabase" in outcome.text
    assert shop.items() == [("of a customer",)]
    assert sessions == 1


def test_the_table_of_attacks(run: Run, shop: Shop, tmp_path: Path) -> None:
    """Each is refused with the message that the chapter shows, and nobody comes through."""
    outcome = run("attacks")
    sessions = shop.sessions()
    found = normalised((tmp_path / "shop" / "attempts.txt").read_text())

    assert outcome.code == 0, outcome.text
    assert "LET THROUGH" not in found
    assert "secret" not in found
    assert found == recorded("output/attacks", found)
    assert shop.items() == [("of a customer",)]
    assert sessions == 1
