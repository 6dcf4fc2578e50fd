"""A run ends although a process of its server stands still, and says for what it waited."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Project

_LIMIT = 40.0
"""Seconds: the sum of two waits of 15 s, and a run on a busy machine."""

_HELPERS = """
    import os
    import signal
    from pathlib import Path

    LEASE = "select pid from pg_stat_activity where application_name like 'pgsandbox lease%'"
    SESSION = (
        "select pid from pg_stat_activity "
        "where datname = current_database() and state like 'idle in transaction%'"
    )

    def stop(pid):
        with open("stopped", "a") as file:
            file.write(f"{pid}\\n")
        os.kill(pid, signal.SIGSTOP)

    def postmaster(pg):
        run = Path(pg.server.url.query["host"])
        return int((run / "data/postmaster.pid").read_text().splitlines()[0])
"""


@pytest.fixture
def rundir() -> Iterator[str]:
    """A folder for a server that no other run uses."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # for the account that root steps down to
        yield folder


def go_on(project: Project) -> None:
    """Let everything go on that a test has stopped."""
    for pid in (project.path / "stopped").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGCONT)


@pytest.mark.parametrize(
    ("what", "said"),
    [("pg.outside(LEASE)", ""), ("postmaster(pg)", "did not let pgsandbox in")],
    ids=["the lease's session", "the postmaster"],
)
def test_a_run_ends(make_project: MakeProject, rundir: str, what: str, said: str) -> None:
    """Teardown hung for three minutes and more."""
    test = f"""
        from helpers import LEASE, postmaster, stop

        def test_stops_it(db_session, pg):
            stop({what})
    """
    project = make_project({"helpers.py": _HELPERS, "tests/integration/test_stop.py": test})
    try:
        outcome = project.run(PGSANDBOX_RUNDIR=rundir)
    finally:
        go_on(project)

    assert outcome.seconds < _LIMIT
    assert said in outcome.text


def test_a_run_ends_although_its_endpoint_stands_still(
    make_project: MakeProject, rundir: str
) -> None:
    """It is ended, and the next test has another one; a wait for it lasted a minute, each time."""
    tests = """
        import os
        from pathlib import Path

        from helpers import stop
        from sqlalchemy import text

        def endpoint():
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            (found,) = (
                each
                for each in children
                if b"endpoint.__main__" in Path("/proc", each, "cmdline").read_bytes()
            )
            return int(found)

        def test_1_stops_it(db_session):
            db_session.scalar(text("select 1"))
            db_session.close()
            stop(endpoint())

        def test_2_goes_on(db_session):
            assert db_session.scalar(text("select 1")) == 1
    """
    project = make_project({"helpers.py": _HELPERS, "tests/integration/test_stop.py": tests})
    try:
        outcome = project.run("-p", "no:randomly", is_fresh=True, PGSANDBOX_RUNDIR=rundir)
    finally:
        go_on(project)

    assert outcome.seconds < _LIMIT
    assert "said nothing for 15 s" in outcome.out
    assert "an answer of the process" in outcome.section("test_1_stops_it")
    assert outcome.counts["passed"] == 1
