"""A sandboxed test that starts another process is told why that one sees nothing."""

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

        with psycopg2.connect(os.environ["SHOP_URL"].replace("+psycopg2", "")) as connection:
            cursor = connection.cursor()
            cursor.execute(sys.argv[1])
            print(cursor.fetchone()[0])
    """,
    "tests/integration/test_children.py": """
        import subprocess
        import sys

        import pytest
        from models import Item

        def child(statement):
            command = [sys.executable, "child.py", statement]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

        def test_a_child_counts(db_session):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert child("select count(*) from items") == "1\\n"

        def test_a_child_writes(db_session):
            child("insert into items (name) values ('milk') returning 1")

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


def test_a_child_that_sees_nothing_is_named(outcome: Outcome) -> None:
    """In the report of the test that failed for it, with the way out."""
    section = outcome.section("test_a_child_counts")
    note = normalised(next(line for line in section.splitlines() if line.startswith("note: ")))

    assert "by a child process" in note
    assert note == recorded("output/child-process", note)


def test_a_child_that_writes_is_named(outcome: Outcome) -> None:
    """The rows are real, and the database is made anew."""
    section = outcome.section("ERROR at teardown of test_a_child_writes")

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
