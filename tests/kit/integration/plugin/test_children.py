"""Other processes in a sandboxed test: by the URL that they are given they join its transaction."""

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
    "worker.py": """
        import os

        from models import Item
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session

        def work(name):
            with Session(create_engine(os.environ["SHOP_URL"])) as session:
                session.add(Item(name=name))
                session.commit()
                return session.query(Item).count()
    """,
    "tests/integration/test_children.py": """
        import multiprocessing
        import os
        import subprocess
        import sys
        from concurrent.futures import ProcessPoolExecutor

        import pytest
        from models import Item
        from sqlalchemy.engine import make_url
        from worker import work

        def child(statement, **environ):
            command = [sys.executable, "child.py", statement]
            run = subprocess.run(
                command, check=True, capture_output=True, text=True, env=os.environ | environ
            )
            return run.stdout

        def past(pg):
            return pg.server.url_of(make_url(pg.url).database).render_as_string(False)

        def test_a_child_counts(db_session):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert child("select count(*) from items") == "1\\n"

        @pytest.mark.parametrize("time", range(2))
        def test_a_child_writes(db_session, pg, time):
            child("insert into items (name) values ('milk') returning 1")
            assert [item.name for item in db_session.query(Item)] == ["milk"]
            assert pg.outside("select count(*) from items") == 0

        @pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
        def test_workers_write(db_session, pg, method):
            db_session.add(Item(name="tea"))
            db_session.flush()
            context = multiprocessing.get_context(method)
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                assert list(pool.map(work, ["milk", "rum"])) == [2, 3]
            assert db_session.query(Item).count() == 3
            assert pg.outside("select count(*) from items") == 0

        def test_a_child_over_tcp(db_session, pg):
            db_session.add(Item(name="tea"))
            db_session.flush()
            assert child("select count(*) from items", SHOP_URL=pg.tcp_url) == "1\\n"

        def test_a_child_by_the_engines_url(db_session, db_engine):
            db_session.add(Item(name="tea"))
            db_session.flush()
            url = db_engine.url.render_as_string(hide_password=False)
            assert child("select count(*) from items", SHOP_URL=url) == "1\\n"

        def test_a_child_that_does_not_commit(db_session):
            command = [sys.executable, "-c", '''
        import os, psycopg2
        connection = psycopg2.connect(os.environ["SHOP_URL"].replace("+psycopg2", ""))
        connection.cursor().execute("insert into items (name) values ('milk')")
        os._exit(0)
        ''']
            subprocess.run(command, check=True)
            assert db_session.query(Item).count() == 0

        def test_a_child_goes_past(db_session, pg):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert child("select count(*) from items", SHOP_URL=past(pg)) == "1\\n"

        def test_a_child_writes_past(db_session, pg):
            child("insert into items (name) values ('milk') returning 1", SHOP_URL=past(pg))

        def test_nothing_is_left(db_session, pg):
            assert db_session.query(Item).count() == 0
            assert pg.outside("select count(*) from items") == 0

        def test_nobody_else_looks(db_session):
            subprocess.run(["true"], check=True)
            db_session.add(Item(name="tea"))
            db_session.commit()
            raise AssertionError

        @pytest.mark.pgsandbox(isolation="clone")
        def test_a_child_counts_in_a_clone(db_session, db_engine, pg):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert child("select count(*) from items") == "1\\n"
            assert db_engine.url == make_url(pg.url)

    """,
}


@pytest.fixture(scope="module")
def outcome(make_project: MakeProject) -> Outcome:
    """What a run of them all said."""
    return make_project(_FILES, 'child-env = ["SHOP_URL"]').run("-v", "-p", "no:randomly")


@pytest.mark.parametrize(
    "test",
    [
        "test_a_child_counts",
        "test_a_child_writes[0]",
        "test_a_child_writes[1]",
        "test_workers_write[spawn]",
        "test_workers_write[fork]",
        "test_workers_write[forkserver]",
        "test_a_child_over_tcp",
        "test_a_child_by_the_engines_url",
        "test_a_child_that_does_not_commit",
        "test_nothing_is_left",
        "test_a_child_counts_in_a_clone",
    ],
)
def test_a_child_is_part_of_its_test(outcome: Outcome, test: str) -> None:
    """It sees the test's rows, its commits are the test's, and they are undone with it."""
    assert f"::{test} PASSED" in outcome.out


def test_a_child_that_goes_past_sees_nothing_and_is_named(outcome: Outcome) -> None:
    """In the report of the test that failed for it, with the way out."""
    section = outcome.section("test_a_child_goes_past")
    note = normalised(next(line for line in section.splitlines() if line.startswith("note: ")))

    assert "by a child process" in note
    assert note == recorded("output/child-process", note)


def test_a_child_that_writes_past_is_named(outcome: Outcome) -> None:
    """The rows are real, and the database is made anew."""
    section = outcome.section("ERROR at teardown of test_a_child_writes_past")

    assert "The test has started other processes, which connect for themselves" in section
    assert "By pg.url, or by a variable that `child-env` names, a process joins" in section


def test_a_child_without_a_session_is_no_reason(outcome: Outcome) -> None:
    """Nobody has looked for the rows of this test."""
    assert "opened on the test database" not in outcome.section("test_nobody_else_looks")


def test_the_summary_says_how_long_clones_took(outcome: Outcome) -> None:
    """One line, where a test had one."""
    line = normalised(outcome.line("pgsandbox: 1 clone"))

    assert line == recorded("output/clones", line)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "arguments", [("-p", "xdist", "-n", "2"), ("-p", "randomly")], ids=["two workers", "random"]
)
def test_children_in_any_order(make_project: MakeProject, arguments: tuple[str, ...]) -> None:
    """Each worker's variables name its own test."""
    outcome = make_project(_FILES, 'child-env = ["SHOP_URL"]').run(*arguments)

    assert outcome.counts == {"passed": 12, "failed": 2, "errors": 1}
