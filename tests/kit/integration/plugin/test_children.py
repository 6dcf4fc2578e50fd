"""Other processes join a sandboxed test by the URL they get; those that go past it are named."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome
from tests.kit.integration.recorded import normalised, recorded

_FILES = {
    "child.py": """
        import os
        import sys

        import psycopg2

        url = os.environ.get("DIRECT_URL") or os.environ["SHOP_URL"]
        with psycopg2.connect(url.replace("+psycopg2", "")) as connection:
            cursor = connection.cursor()
            cursor.execute(sys.argv[1])
            print(cursor.fetchone()[0])
    """,
    "tests/integration/test_children.py": """
        import os
        import subprocess
        import sys

        import pytest
        from models import Item
        from sqlalchemy import func, make_url, select

        COUNT = select(func.count(Item.id))

        def child(statement, **environ):
            command = [sys.executable, "child.py", statement]
            environ = {**os.environ, **environ}
            return subprocess.run(
                command, check=True, capture_output=True, text=True, env=environ
            ).stdout

        @pytest.fixture
        def direct(pg):
            url = pg.server.url_of(make_url(pg.url).database)
            return url.render_as_string(hide_password=False)

        def test_a_child_counts(db_session):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert child("select count(*) from items") == "1\\n"

        def test_a_child_writes(db_session):
            child("insert into items (name) values ('milk') returning 1")
            assert db_session.scalar(COUNT) == 1

        def test_what_a_child_wrote_is_undone(db_session, pg):
            assert db_session.scalar(COUNT) == 0
            assert pg.outside("select count(*) from items") == 0

        def test_a_child_counts_past_the_endpoint(db_session, direct):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert child("select count(*) from items", DIRECT_URL=direct) == "1\\n"

        def test_a_child_writes_past_the_endpoint(db_session, direct):
            child("insert into items (name) values ('milk') returning 1", DIRECT_URL=direct)

        def test_nobody_else_looks(db_session):
            subprocess.run(["true"], check=True)
            db_session.add(Item(name="tea"))
            db_session.commit()
            raise AssertionError

        @pytest.mark.pgsandbox(isolation="clone")
        def test_a_child_counts_in_a_clone(db_session):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert child("select count(*) from items") == "1\\n"
    """,
}


@pytest.fixture(scope="module")
def outcome(make_project: MakeProject) -> Outcome:
    """What a run of them all said."""
    return make_project(_FILES, 'child-env = ["SHOP_URL"]').run("-v", "-p", "no:randomly")


@pytest.mark.parametrize(
    "name",
    ["test_a_child_counts", "test_a_child_writes", "test_what_a_child_wrote_is_undone"],
)
def test_a_child_joins_the_test(outcome: Outcome, name: str) -> None:
    """It sees what the test wrote, the test sees what it committed, and the next one nothing."""
    assert f"::{name} PASSED" in outcome.out


def test_a_child_that_sees_nothing_is_named(outcome: Outcome) -> None:
    """In the report of the test that failed for it, with the way out."""
    section = outcome.section("test_a_child_counts_past_the_endpoint")
    note = normalised(next(line for line in section.splitlines() if line.startswith("note: ")))

    assert "by a child process" in note
    assert note == recorded("output/child-process", note)


def test_a_child_that_writes_is_named(outcome: Outcome) -> None:
    """The rows are real, and the database is made anew."""
    section = outcome.section("ERROR at teardown of test_a_child_writes_past_the_endpoint")

    assert "The test has started other processes, which connect for themselves" in section


def test_a_child_without_a_session_is_no_reason(outcome: Outcome) -> None:
    """Nobody has looked for the rows of this test."""
    assert "opened on the test database" not in outcome.section("test_nobody_else_looks")


def test_a_clone_is_the_way_out(outcome: Outcome) -> None:
    """There the variable names the clone, and rows are committed for real."""
    assert "::test_a_child_counts_in_a_clone PASSED" in outcome.out


def test_the_summary_says_how_long_clones_took(outcome: Outcome) -> None:
    """One line, where a test had one."""
    line = normalised(outcome.line("pgsandbox: 1 clone"))

    assert line == recorded("output/clones", line)
