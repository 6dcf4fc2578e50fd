"""Runs that somebody stops: nothing is left behind, or the next run removes it."""

from __future__ import annotations

import signal

import pytest

from pgsandbox.servers import Server
from tests.kit.external import External
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project, databases
from tests.kit.nightly import by_night

_FILES = {
    "tests/integration/test_items.py": """
        import contextlib
        import threading

        from models import Item
        from sqlalchemy import text

        def hang(engine):
            with contextlib.suppress(Exception), engine.connect() as connection:
                connection.execute(text("select pg_sleep(600)"))

        def test_first(db_session):
            db_session.add(Item(name="tea"))
            db_session.commit()

        def test_waits(db_session, db_engine, capsys):
            db_session.add(Item(name="tea"))
            db_session.flush()
            connection = db_engine.connect()
            connection.execute(text("select 1"))
            with capsys.disabled():
                print("waiting", flush=True)
            threading.Event().wait(60)

        def test_hangs(db_session, db_engine, capsys, pg):
            db_session.add(Item(name="tea"))
            db_session.flush()
            threading.Thread(target=hang, args=(db_engine,), daemon=True).start()
            while "select pg_sleep(600)" not in pg.statements:
                pass
            with capsys.disabled():
                print("waiting", flush=True)
            threading.Event().wait(60)

        def test_last(db_session):
            pass
    """,
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """A project with a test that waits until the run is stopped."""
    return make_project(_FILES)


def _stop(project: Project, number: int, *arguments: str, **environ: str) -> Outcome:
    """Start a run, and send it a signal in the middle of its test."""
    process = project.start("-v", *arguments, **environ)
    assert process.stdout is not None
    for line in process.stdout:
        if "waiting" in line:
            break
    process.send_signal(number)
    return project.finish(process)


def test_a_connection_that_outlives_the_run(make_project: MakeProject) -> None:
    """Its owner gives it back when the process exits, and its pool says nothing."""
    project = make_project(
        {
            "tests/integration/test_it.py": """
                import atexit

                from sqlalchemy import text

                def test_it(db_engine):
                    connection = db_engine.connect()
                    connection.execute(text("select 1"))
                    atexit.register(connection.close)
            """
        }
    )
    outcome = project.run()

    assert outcome.counts == {"passed": 1}
    assert outcome.err == ""


@pytest.mark.parametrize("test", ["test_hangs", *by_night("test_waits")])
def test_ctrl_c(project: Project, server: Server, test: str) -> None:
    """The databases are dropped before pytest says good-bye, even if a thread waits in one."""
    outcome = _stop(project, signal.SIGINT, "-k", test)

    assert outcome.code == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in outcome.out
    assert "Traceback" not in outcome.err
    assert databases(server, project.name) == []


@pytest.mark.parametrize("test", ["test_hangs", *by_night("test_waits")])
def test_a_run_that_is_asked_to_end(project: Project, server: Server, test: str) -> None:
    """SIGTERM: the same clean-up, and the exit code that a shell would report."""
    outcome = _stop(project, signal.SIGTERM, "-k", test)

    assert outcome.code == 128 + signal.SIGTERM
    assert "SIGTERM" in outcome.out
    assert databases(server, project.name) == []


def test_a_handler_of_somebody_else_stays(make_project: MakeProject) -> None:
    """And a forked child ends itself, not the run."""
    handler = """
        import os
        import signal
        import time

        def test_child(db_session):
            pid = os.fork()
            if not pid:
                time.sleep(60)
            os.kill(pid, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
            time.sleep(0.3)

        def test_children_that_are_ended_at_once(db_session):
            for _ in range(300):
                pid = os.fork()
                if not pid:
                    signal.pause()
                os.kill(pid, signal.SIGTERM)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM

        def test_handler():
            assert signal.getsignal(signal.SIGTERM) is EXPECTED
    """
    own = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    child = make_project({"tests/integration/test_signals.py": handler}).run("-k", "child")
    kept = make_project(
        {
            "tests/conftest.py": own,
            "tests/integration/test_signals.py": handler.replace("EXPECTED", "signal.SIG_IGN"),
        }
    ).run("-k", "handler")

    assert child.counts == {"passed": 2, "deselected": 1}
    assert kept.counts == {"passed": 1, "deselected": 2}


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_a_killed_run(project: Project, external: External, number: int) -> None:
    """It could not clear up, so its database is still there; the next run is none the wiser.

    On a server of its own: on the shared one, any other run may clear up in between.
    """
    server = Server("given", external.url, "given by a test", 180000, "18.0")
    url = server.url_of(f"{project.name}_test").render_as_string(hide_password=False)
    killed = _stop(project, number, "-k", "first or waits", TEST_DATABASE_URL=url)
    left = databases(server, project.name)
    outcome = project.run("-k", "first", TEST_DATABASE_URL=url)

    assert killed.code == -number
    assert left == [f"{project.name}_test"]
    assert outcome.line("pgsandbox: PostgreSQL").endswith(f"database {project.name}_test")
    assert (outcome.code, databases(server, project.name)) == (0, [])


def test_stop_at_the_first_failure_and_go_on(make_project: MakeProject, server: Server) -> None:
    """-x and --lf run less than was collected, and leave as little."""
    failing = """
        def test_fails(db_session):
            assert not db_session

        def test_never(db_session): pass
    """
    project = make_project({"tests/integration/test_fails.py": failing})
    stopped = project.run("-x")
    again = project.run("--lf")

    assert stopped.counts == {"failed": 1}
    assert again.counts == {"failed": 1}
    assert databases(server, project.name) == []


_OUTSIDER = """
import sys

import psycopg2

connection = psycopg2.connect(sys.argv[1])
connection.cursor().execute("lock table items in access exclusive mode")
print("holding", flush=True)
sys.stdin.readline()
"""


def test_a_session_that_sits_in_the_database(make_project: MakeProject, server: Server) -> None:
    """psql in another terminal, in an open transaction, delays no end of a run."""
    visited = """
        import subprocess
        import sys

        from sqlalchemy import make_url, text

        visitors = []

        def test_visited(db_session, pg):
            db_session.execute(text("select 1"))
            url = pg.server.url_of(make_url(pg.url).database, "postgresql")
            url = url.render_as_string(hide_password=False)
            visitor = subprocess.Popen(
                [sys.executable, "outsider.py", url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            visitors.append(visitor)
            assert visitor.stdout.readline() == "holding\\n"

        def test_next(db_session):
            assert db_session.scalar(text("select count(*) from items")) == 0
    """
    project = make_project({"outsider.py": _OUTSIDER, "tests/integration/test_visited.py": visited})
    outcome = project.run()

    said = outcome.section("ERROR at teardown of test_visited")
    assert "EscapedFromSandbox: The test left another session open in its database" in said
    assert "idle in transaction: lock table items in access exclusive mode" in said
    assert outcome.counts == {"passed": 2, "errors": 1}
    assert databases(server, project.name) == []
