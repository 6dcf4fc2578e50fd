"""What the guide shows runs on every driver, in the sandbox and in a clone, twice in a process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.kit.integration.plugin.projects import Project
from tests.kit.integration.recorded import EXAMPLES
from tests.kit.nightly import by_night

_PLUGIN = """
import os

import pytest


def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("time")
    metafunc.parametrize("time", ["first", "again"])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if os.environ["ISOLATION"] == "clone" and item.get_closest_marker("pgsandbox") is None:
            item.add_marker(pytest.mark.pgsandbox(isolation="clone"))
"""

_OF_THE_SANDBOX = {
    "library": [
        "test_limits",  # says what is otherwise in a clone
        "test_pg_outside_sees_what_was_committed_for_real",
        "test_pg_url_of_is_for_a_second_database",  # it has no clone
        "test_arranged_rows_stay_once_the_application_has_committed",
    ],
    "scopes": ["test_offers"],  # its fixture looks for what the sandbox has brought back
}
"""Tests whose subject is the one transaction of the sandbox."""


def _run(name: str, isolation: str, path: Path, *arguments: str, **env: str) -> None:
    shutil.copytree(EXAMPLES / name, path)
    (path / "everywhere.py").write_text(_PLUGIN)
    project = Project(path)
    others = _OF_THE_SANDBOX.get(name, []) if isolation == "clone" else []
    selected = ["-k", " and ".join(f"not {each}" for each in others)] if others else []
    found = os.pathsep.join([project.environ()["PYTHONPATH"], str(path)])
    run = project.run(
        *("--pg-server=embedded", "-p", "everywhere", *selected, *arguments),
        **{"ISOLATION": isolation, "PYTHONPATH": found, **env},
    )

    assert set(run.counts) <= {"passed", "deselected"}, run.text
    assert run.counts["passed"] >= 4


ISOLATIONS = pytest.mark.parametrize("isolation", ["clone", *by_night("sandbox")])


@ISOLATIONS
@pytest.mark.parametrize("driver", ["psycopg2", *by_night("psycopg")])
@pytest.mark.parametrize("name", ["scopes", *by_night("quickstart", "tutorial", "library")])
def test_an_example_runs_in_a_clone_too(
    tmp_path: Path, name: str, driver: str, isolation: str
) -> None:
    """Factories and sessions, with the drivers that block."""
    url = f"--pg-url=postgresql+{driver}://dev@127.0.0.1:9/{name}_{driver}"

    _run(name, isolation, tmp_path / name, url)


@ISOLATIONS
@pytest.mark.parametrize("driver", ["asyncpg", *by_night("psycopg")])
def test_the_asynchronous_example_runs_in_a_clone_too(
    tmp_path: Path, driver: str, isolation: str
) -> None:
    """The same with the drivers that are awaited, on one event loop after the other."""
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "anyio")

    _run("asynchronous", isolation, tmp_path / "tickets", *plugins, TICKETS_DRIVER=driver)
