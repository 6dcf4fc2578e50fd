"""A few rounds of what ``nox -s crash`` does a hundred times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.crash.crowd import gather
from tests.kit.crash.project import write_project
from tests.kit.crash.rounds import CASES, Case, Harness, harness
from tests.kit.external import external_server
from tests.kit.integration.recorded import normalised, recorded

_SEED = 2026


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """What kills, and looks at what is left."""
    with harness(_SEED, tmp_path_factory.mktemp("crash")) as crashes:
        yield crashes


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(each, marks=() if each == CASES[0] else pytest.mark.nightly)
        for each in CASES
        if not each.arguments and each.victim != "watchdog"
    ],
    ids=str,
)
def test_the_run_after_a_killed_one_is_green_and_nothing_is_left(
    crashes: Harness, case: Case
) -> None:
    """No database, process, data directory, socket, shared memory or half-made file."""
    outcome = crashes.round(case)

    assert outcome.problem == ""


@pytest.mark.nightly
def test_runs_at_once_share_no_name_and_leave_nothing(tmp_path: Path) -> None:
    """Two checkouts of one project, two roles, one server."""
    with external_server() as external:
        crowd = gather(external, tmp_path, runs=3, workers=1)

    assert [member.code for member in crowd.members] == [0, 0, 0]
    assert len({name for member in crowd.members for name in member.names}) == 3
    assert crowd.is_left == ()


def test_a_run_that_needs_more_connections_than_there_are_is_told_so(
    tmp_path: Path,
) -> None:
    """Before any test, with the sum, instead of "too many clients" in the middle of one."""
    project = write_project(tmp_path / "project")
    with external_server(None, "max_connections=8") as external:
        url = external.url.set(database="shop_test").render_as_string(hide_password=False)
        outcome = project.run("-p", "xdist", "-n", "4", TEST_DATABASE_URL=url)

    assert outcome.code == 4
    assert "TooFewConnections: The run needs 9 connections for 4 processes" in outcome.err
    assert "Run 3 of them (-n 3), or raise max_connections." in outcome.err
    assert "Traceback" not in outcome.text
    message = normalised(outcome.err.partition("ERROR: ")[2])
    assert message == recorded("output/too-few-connections", message)
