"""Which runs find a server and which do not, and what the report header says of it."""

from __future__ import annotations

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project, databases

_UNREACHABLE = "postgresql+psycopg2://nobody@127.0.0.1:1/nothing_test"
"""Whoever looks for a server is told so: the run ends with exit code 4."""

_FILES = {
    "tests/integration/test_items.py": """
        from models import Item

        def test_item(db_session, pg):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert pg.outside("select count(*) from items") == 0
    """,
    "tests/unit/test_plain.py": """
        import os

        def test_plain():
            assert "SHOP_URL" not in os.environ
    """,
    "tests/unit/test_asking.py": """
        import os

        import pytest
        from sqlalchemy import create_engine, text

        def test_by_fixture(db_connection):
            assert db_connection.scalar(text("select count(*) from items")) == 0

        @pytest.mark.pgsandbox
        def test_by_marker():
            with create_engine(os.environ["SHOP_URL"]).connect() as connection:
                assert connection.scalar(text("select count(*) from items")) == 0

        @pytest.mark.pgsandbox
        class TestByMarkerOnTheClass:
            def test_by_marker_on_the_class(self):
                with create_engine(os.environ["SHOP_URL"]).connect() as connection:
                    assert connection.scalar(text("select count(*) from items")) == 0

        def test_by_fixture_at_call_time(request):
            connection = request.getfixturevalue("db_connection")
            assert connection.scalar(text("select count(*) from items")) == 0
    """,
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """A project with tests that need the database, tests that ask for it, and others."""
    return make_project(_FILES, 'child-env = ["SHOP_URL"]')


@pytest.fixture(scope="module")
def asking(project: Project) -> Outcome:
    """A run of tests outside of `paths` that ask for the database."""
    return project.run("tests/unit/test_asking.py")


def test_header_and_summary(project: Project, server: Server) -> None:
    """The header says server, version, reason and database; the summary says what it cost."""
    outcome = project.run("tests/integration")

    assert outcome.line("pgsandbox: PostgreSQL") == (
        f"pgsandbox: PostgreSQL {server.version_text}, embedded (started, since nothing names a "
        f"server), database {project.name}_test"
    )
    assert outcome.line("pgsandbox: 1 test used the database; ")
    assert (outcome.code, outcome.counts, outcome.err) == (0, {"passed": 1}, "")
    assert databases(server, project.name) == []


def test_quiet(project: Project) -> None:
    """With -q the run says nothing of its database."""
    outcome = project.run("-q", "tests/integration", "tests/unit/test_asking.py")

    assert outcome.counts == {"passed": 5}
    assert "pgsandbox" not in outcome.text


def test_unit_tests_start_nothing(project: Project) -> None:
    """Nobody asks for the database, so nobody looks for a server, and nothing is said."""
    outcome = project.run("tests/unit/test_plain.py", TEST_DATABASE_URL=_UNREACHABLE)

    assert (outcome.code, outcome.counts) == (0, {"passed": 1})
    assert "pgsandbox: " not in outcome.text


@pytest.mark.parametrize(
    "option",
    [
        "--collect-only",
        "--fixtures",
        "--fixtures-per-test",
        "--markers",
        "--help",
        "--setup-plan",
        "--cache-show",
    ],
)
def test_a_look_starts_nothing(project: Project, option: str) -> None:
    """An option that runs no test finds no server, even one that does not answer."""
    outcome = project.run(option, TEST_DATABASE_URL=_UNREACHABLE)

    assert (outcome.code, outcome.err) == (0, "")


def test_a_test_elsewhere_gets_the_database_by_asking(asking: Outcome) -> None:
    """By a fixture, by the marker on a function or a class, and by a fixture at call time."""
    assert asking.counts == {"passed": 4}


def test_a_server_that_nobody_foresaw_is_announced(asking: Outcome, project: Project) -> None:
    """It was found after the header, so the line comes with the number of collected tests."""
    lines = asking.out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("collected 4"))

    assert lines[place + 1].startswith("pgsandbox: PostgreSQL")
    assert lines[place + 1].endswith(f"database {project.name}_test")
    assert asking.line("pgsandbox: 4 tests used the database; ")


def test_a_fixture_at_call_time_is_enough(project: Project) -> None:
    """Nobody could see before that test that it needs a server."""
    outcome = project.run("tests/unit/test_asking.py", "-k", "call_time")

    assert (outcome.code, outcome.counts) == (0, {"passed": 1, "deselected": 3})
