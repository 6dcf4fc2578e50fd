"""Runs with pytest-xdist: each worker has a database of its own, and one voice speaks for all."""

from __future__ import annotations

import re

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project, databases
from tests.kit.nightly import by_night

_TWO = ("-p", "xdist", "-n", "2")

_FILES = {
    "tests/integration/test_items.py": """
        import os

        import pytest
        from models import Item
        from sqlalchemy import text

        WORKER = os.environ["PYTEST_XDIST_WORKER"]

        @pytest.mark.parametrize("number", range(8))
        def test_item(db_session, number):
            db_session.add(Item(name="tea"))
            db_session.commit()

            name = db_session.scalar(text("select current_database()"))
            assert name == f"<name>_{WORKER}_test"
            assert os.environ["SHOP_URL"].split("?")[0].endswith(name)
    """,
    "tests/unit/test_plain.py": "def test_plain(): pass\n",
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """A project whose tests know what their database is called."""
    return make_project(_FILES, 'child-env = ["SHOP_URL"]')


@pytest.fixture(scope="module")
def outcome(project: Project) -> Outcome:
    """Its run by two workers, in random order."""
    return project.run(*_TWO, "-p", "randomly")


def test_each_worker_has_its_own_database(outcome: Outcome) -> None:
    """The worker's part stands before the ending, which applications check."""
    assert (outcome.code, outcome.counts) == (0, {"passed": 9})


def test_the_controller_says_which_server(outcome: Outcome) -> None:
    """Once, with one database for each worker."""
    line = outcome.line("pgsandbox: PostgreSQL")

    assert line.endswith("(started, since nothing names a server), one database for each worker")


def test_the_summary_adds_up(outcome: Outcome) -> None:
    """What the workers did is summed: tests, and a time for each part that took some."""
    figures = re.fullmatch(
        r"pgsandbox: 8 tests used the database; (\d+\.\d\d) s to prepare it, \d+\.\d\d s in "
        r"set-up, \d+\.\d\d s in teardown, (\d+\.\d\d) s to drop it",
        outcome.line("pgsandbox: 8 tests"),
    )

    assert figures is not None
    assert 0 < float(figures[1]) < outcome.seconds
    assert 0 < float(figures[2]) < outcome.seconds


def test_nothing_is_left(outcome: Outcome, project: Project, server: Server) -> None:
    """The database of each worker is dropped."""
    assert databases(server, project.name) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"models.py": "Base = 1"}, "ConfigurationError: metadata refers to models:Base"),
        *by_night(
            (
                {
                    "tests/integration/test_items.py": """
                        import pytest

                        @pytest.mark.pgsandbox(isolated=True)
                        def test_item(): pass
                    """
                },
                "ConfigurationError: The marker pgsandbox is used wrongly",
            )
        ),
    ],
)
def test_what_workers_find_wrong_is_said_once(
    make_project: MakeProject, files: dict[str, str], said: str
) -> None:
    """By the controller, as a single process would: one message, exit code 4."""
    plain = {"tests/integration/test_items.py": "def test_item(): pass\n"}
    outcome = make_project(plain | files).run(*_TWO)

    assert outcome.code == 4
    assert outcome.err.count("ERROR: ") == 1
    assert said in outcome.err
    assert "INTERNALERROR" not in outcome.text
    assert "Traceback" not in outcome.text


def test_a_server_problem_is_said_once(project: Project) -> None:
    """The controller looks for the server before it starts any worker."""
    url = "postgresql+psycopg2://nobody@127.0.0.1:1/shop_test"
    outcome = project.run(*_TWO, TEST_DATABASE_URL=url)

    assert outcome.code == 4
    assert outcome.err.count("ERROR: ServerUnreachable: ") == 1
    assert "workers" not in outcome.out


def test_a_crashed_worker_leaves_nothing(make_project: MakeProject, server: Server) -> None:
    """Its database is dropped at the end of the run, by the controller."""
    crash = """
        import os

        def test_crash(db_connection):
            os._exit(1)
    """
    project = make_project({"tests/integration/test_crash.py": crash})
    outcome = project.run("-p", "xdist", "-n", "1", "--max-worker-restart=0")

    assert "crashed" in outcome.out
    assert databases(server, project.name) == []
