"""What is killed in the middle: the endpoint, or the test process in front of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Project
from tests.kit.nightly import by_night

SECONDS = 20.0
"""How long something that happens by itself may take."""

LOOKING = """
    import json, os, pathlib

    def endpoint():
        mine = os.getpid()
        for task in pathlib.Path("/proc/self/task").iterdir():
            for pid in (task / "children").read_text().split():
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split(chr(0))
                if any("sandbox.endpoint" in word for word in words):
                    return int(pid), words[-3]
        raise LookupError("there is no endpoint")

    def tell(session, **more):
        pid, folder = endpoint()
        database = session.connection().engine.url.database
        said = {"test": os.getpid(), "endpoint": pid, "folder": folder, **more}
        pathlib.Path("said.part").write_text(json.dumps(said))
        pathlib.Path("said.part").rename("said")
"""

KILLING = """
    import os, signal
    import pytest
    from sqlalchemy import func, select, text
    from sqlalchemy.exc import DBAPIError
    from looking import endpoint
    from models import Item

    def test_before(db_session):
        db_session.add(Item(name="before"))
        db_session.commit()

    def test_killed(db_session):
        db_session.add(Item(name="mine"))
        db_session.commit()
        os.kill(endpoint()[0], signal.SIGKILL)
        db_session.execute(text("SELECT 1"))

    def test_after(db_session):
        assert db_session.scalar(select(func.count(Item.id))) == 0
        db_session.add(Item(name="after"))
        db_session.commit()

    def test_killed_and_hushed_up(db_session):
        db_session.add(Item(name="mine"))
        db_session.commit()
        os.kill(endpoint()[0], signal.SIGKILL)
        with pytest.raises(DBAPIError):
            db_session.execute(text("SELECT 1"))

    def test_killed_last_of_all(db_session):
        db_session.add(Item(name="mine"))
        db_session.commit()
        os.kill(endpoint()[0], signal.SIGKILL)

    def test_after_all(db_session):
        assert db_session.scalar(select(func.count(Item.id))) == 0
"""

WAITING = """
    import os, signal
    from looking import tell
    from models import Item

    def test_waits(db_session):
        db_session.add(Item(name="mine"))
        db_session.commit()
        tell(db_session)
        signal.pause()

    def test_waits_with_a_child(db_session):
        db_session.add(Item(name="mine"))
        db_session.commit()
        child = os.fork()
        if not child:
            signal.pause()
        tell(db_session, child=child)
        signal.pause()
"""


def test_the_next_test_works_after_the_endpoint_was_killed(make_project: MakeProject) -> None:
    """The test in which it died fails by name, whatever it makes of the driver's error."""
    project = make_project({"looking.py": LOOKING, "test_killing.py": KILLING})
    outcome = project.run("-p", "no:randomly", is_fresh=True)
    failed = [line for line in outcome.out.splitlines() if line.startswith(("ERROR", "FAILED"))]

    assert outcome.counts["passed"] == outcome.counts["failed"] == 3
    for name in ("test_killed", "test_killed_and_hushed_up", "test_killed_last_of_all"):
        assert any(f"::{name} - " in line and "SandboxLost" in line for line in failed), name
    for name in ("test_before", "test_after", "test_after_all"):
        assert not any(f"::{name} - " in line for line in failed), name


def _said(project: Project, process: subprocess.Popen[str]) -> dict[str, Any]:
    file = project.path / "said"
    deadline = time.monotonic() + 3 * SECONDS
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def _wait_until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not ask():
        assert time.monotonic() < deadline, "it did not happen in time"


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _sessions(server: Server, project: Project) -> int:
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, %s)", [project.name]
        )
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("name", ["test_waits_with_a_child", *by_night("test_waits")])
def test_nothing_stays_of_a_test_process_that_was_killed(
    make_project: MakeProject, server: Server, name: str
) -> None:
    """Its endpoint ends, with its folder and its session on the server, whoever it had forked."""
    project = make_project({"looking.py": LOOKING, "test_waiting.py": WAITING})
    process = project.start(f"test_waiting.py::{name}")
    said = _said(project, process)
    assert _is_alive(said["endpoint"])
    assert Path(said["folder"], ".s.PGSQL.5432").exists()
    assert _sessions(server, project) >= 1
    os.kill(said["test"], signal.SIGKILL)
    try:
        _wait_until(lambda: not _is_alive(said["endpoint"]))
        _wait_until(lambda: not Path(said["folder"]).exists())
        _wait_until(lambda: _sessions(server, project) == 0)
    finally:
        if "child" in said:
            os.kill(said["child"], signal.SIGKILL)
        process.communicate()


@pytest.fixture
def own_tmp() -> Iterator[str]:
    """A temporary folder in which no other run starts an endpoint; its path is short."""
    with tempfile.TemporaryDirectory(prefix="pgs-") as folder:
        yield folder


def test_a_folder_that_a_killed_endpoint_left_is_removed_by_the_next(
    make_project: MakeProject, own_tmp: str
) -> None:
    """A process that is killed can't remove its own."""
    project = make_project({"looking.py": LOOKING, "test_waiting.py": WAITING})
    process = project.start("test_waiting.py::test_waits", TMPDIR=own_tmp)
    said = _said(project, process)
    os.kill(said["endpoint"], signal.SIGKILL)
    os.kill(said["test"], signal.SIGKILL)
    process.communicate()
    assert Path(said["folder"]).exists()
    (project.path / "test_next.py").write_text(
        "def test_next(db_session): db_session.connection()\n"
    )
    outcome = project.run("test_next.py", TMPDIR=own_tmp)

    assert outcome.counts == {"passed": 1}
    assert Path(said["folder"]).is_relative_to(own_tmp)
    assert not Path(said["folder"]).exists()
