"""A plugin that writes down when the first test began and how long all of them took."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest


class Stopwatch:
    """Times from the set-up of the first test to the teardown of the last."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.first: float | None = None
        self.last = self.began
        self.tests = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """A test begins: its set-up is next."""
        if self.first is None:
            self.first = time.monotonic()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """A test is over, and its teardown, too."""
        self.last = time.monotonic()
        self.tests += 1

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Write it where the benchmark looks, unless this is a worker of pytest-xdist."""
        if "PYTEST_XDIST_WORKER" in os.environ or self.first is None:
            return
        launched = float(os.environ["BENCH_LAUNCHED"])
        figures = {
            "tests": self.tests,
            "to first test": self.first - launched,
            "tests took": self.last - self.first,
        }
        Path(os.environ["BENCH_FIGURES"]).write_text(json.dumps(figures))


def pytest_configure(config: pytest.Config) -> None:
    """Start the watch."""
    config.pluginmanager.register(Stopwatch())
