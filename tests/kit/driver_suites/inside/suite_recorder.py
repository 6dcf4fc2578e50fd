"""A plugin for the pytest of somebody else's suite: it writes down what came of each test.

A line of JSON for each, at once, so that a test which hangs or takes the process with it is known
by its name and costs nothing that was found before. Tests that the file has already are left out:
so a suite goes on where its process ended. A file of JUnit's format, which is written at the end,
can do neither.

It runs beside packages of any name, ``tests`` among them, so it imports nothing of this repository.

* ``SUITE_RECORD``: the file, which is appended to
* ``SUITE_LIMIT``: seconds after which a test counts as hanging, and the process ends
* ``SUITE_LOST``: words, separated by spaces, which say that the target is lost; a test that fails
  with one of them ends the process, and is left to the next one unless it was the first
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

_LONGEST = 6000
HUNG = 70
"""The exit status of a process whose test hung."""
LOST = 71
"""The exit status of a process whose target is lost."""


class Recorder:
    """Writes the outcomes of one pytest session."""

    def __init__(self, path: Path, limit: float, lost: tuple[str, ...]) -> None:
        self.path = path
        self.limit = limit
        self.lost = lost
        self._count = 0
        self.done = {line["test"] for line in _lines(path) if "outcome" in line}
        self._reports: list[Any] = []
        self._running: tuple[str, float] | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[Any]) -> None:
        """Leave out what is done."""
        before = [item for item in items if item.nodeid in self.done]
        config.hook.pytest_deselected(items=before)
        items[:] = [item for item in items if item.nodeid not in self.done]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that can't be imported counts as a test."""
        if report.failed and report.nodeid not in self.done:
            self._write(test=report.nodeid, outcome="error", message=_message(report), seconds=0.0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which test runs, so that one which ends the process is known."""
        self._reports.clear()
        self._write(began=nodeid)
        self._running = nodeid, time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what each phase said."""
        self._reports.append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write what came of it."""
        self._running = None
        outcome, report = verdict(self._reports)
        message = _message(report) if report is not None else ""
        seconds = round(sum(each.duration for each in self._reports), 3)
        self._count += 1
        is_lost = outcome in ("failed", "error") and any(word in message for word in self.lost)
        if is_lost and self._count > 1:
            self._write(again=nodeid)
        else:
            self._write(test=nodeid, outcome=outcome, message=message, seconds=seconds)
        if is_lost:
            os._exit(LOST)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Say that the suite has come to its end."""
        self._write(end=int(exitstatus))

    def _write(self, **line: Any) -> None:
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")

    def _watch(self) -> None:
        while True:
            time.sleep(0.5)
            running = self._running
            if running is not None and time.monotonic() - running[1] > self.limit:
                stacks = f"no end after {self.limit:.0f} s\n{_stacks()}"
                self._write(test=running[0], outcome="hung", message=stacks, seconds=self.limit)
                os._exit(HUNG)


def verdict(reports: list[Any]) -> tuple[str, Any]:
    """The outcome of a test from the reports of its phases, and the report that says why."""
    for report in reports:
        if report.failed:
            return ("failed" if report.when == "call" else "error"), report
    for report in reports:
        if report.skipped:
            return ("xfailed" if hasattr(report, "wasxfail") else "skipped"), report
    if any(hasattr(report, "wasxfail") for report in reports):
        return "xpassed", None
    return "passed", None


def _message(report: Any) -> str:
    """What the report says: the error's own words first, then the end of the traceback."""
    if isinstance(report.longrepr, tuple):  # a skipped test's place and reason
        return str(report.longrepr[2])
    text = str(report.longrepr)
    crash = getattr(report.longrepr, "reprcrash", None)
    words = str(getattr(crash, "message", "")) or text.strip().rpartition("\n")[2]
    return f"{words[:_LONGEST]}\n\n{text[-_LONGEST:]}"


def _stacks() -> str:
    """Where every thread is, the main one first, each to its innermost call."""
    main = threading.main_thread().ident
    frames = sorted(sys._current_frames().items(), key=lambda each: each[0] != main)
    return "\n".join("".join(traceback.format_stack(frame)[-12:]) for _, frame in frames)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def pytest_configure(config: pytest.Config) -> None:
    """Record this session."""
    path, limit = Path(os.environ["SUITE_RECORD"]), float(os.environ["SUITE_LIMIT"])
    recorder = Recorder(path, limit, tuple(os.environ["SUITE_LOST"].split()))
    config.pluginmanager.register(recorder, "suite-recorder")
