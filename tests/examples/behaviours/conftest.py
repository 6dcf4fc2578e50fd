"""One side of the comparison: every test in the sandbox, or every test in a clone of its own.

The transcripts go into the file that ``--record`` names, a line of JSON each. What the file has
already is not played again, so a run that had to be ended by `--patience` can be taken up.
"""

import faulthandler
import json
import os
from pathlib import Path

import pytest
from stage import refusal_in

_NOTHING_LEFT = pytest.ExitCode.NO_TESTS_COLLECTED
_STDERR = os.dup(2)  # before pytest takes the descriptor


def pytest_addoption(parser):
    """Add the options of a side."""
    group = parser.getgroup("behaviours")
    group.addoption("--side", choices=["sandbox", "clone"], default="sandbox")
    group.addoption("--record", default="transcripts.jsonl", help="where the transcripts go")
    group.addoption("--patience", type=float, default=30.0, help="seconds before a test hangs")
    group.addoption("--programs", type=int, default=20, help="how many random programs")
    group.addoption("--seed", type=int, default=1, help="the first program's seed")
    group.addoption("--in-turn", action="store_true", help="one driver for each behaviour")
    group.addoption("--planted", action="store_true", help="play what differs on purpose, too")


class Record:
    """The file with the transcripts."""

    def __init__(self, path):
        self.path = Path(path)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.begun = {json.loads(line)["id"] for line in lines}

    def write(self, **facts):
        """Add one line."""
        with self.path.open("a") as file:
            file.write(json.dumps(facts) + "\n")


def pytest_configure(config):
    """Open the record."""
    config.record = Record(config.getoption("record"))


def pytest_collection_modifyitems(config, items):
    """Give each test the isolation of this side; leave out what the record has."""
    items[:] = [item for item in items if item.callspec.id not in config.record.begun]
    if config.getoption("side") == "clone":
        for item in items:
            item.add_marker(pytest.mark.pgsandbox(isolation="clone"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """End the process if a test hangs; the record then has its beginning only."""
    item.config.record.write(id=item.callspec.id, phase="begun")
    patience = item.config.getoption("patience")
    faulthandler.dump_traceback_later(patience, exit=True, file=_STDERR)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Record what the kit says at the end of a test."""
    report = yield
    if report.failed:
        error = call.excinfo.value
        text = refusal_in(error) or f"{type(error).__name__}: {error}"
        item.config.record.write(id=item.callspec.id, phase="end", text=text)
    return report


@pytest.fixture
def record(request):
    """A function that writes the test's transcript down."""

    def write(lines):
        request.config.record.write(id=request.node.callspec.id, phase="played", lines=lines)

    return write


def pytest_sessionfinish(session, exitstatus):
    """Say that the run came to its end; an internal error is none."""
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, _NOTHING_LEFT):
        session.config.record.write(id="", phase="finished")
