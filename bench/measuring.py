"""Runs of pytest with a stopwatch: contenders by turns, on one server, in one go.

Machines are noisy, so no figure stands alone: contenders take turns, and what is compared is the
ratio within one turn. The median of the turns' ratios is what a row of a table says.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

HERE = Path(__file__).parent
SUITE = HERE / "suite"
PLUGINS = ("pgsandbox", "pytest_postgresql")


@dataclass(frozen=True)
class Contender:
    """A way to isolate a test, as pytest is told of it."""

    name: str
    """What the table calls it."""
    folder: str
    """Where its fixtures and its factories' base are, below ``contenders``."""
    plugin: str | None = None
    """Which of `PLUGINS` it needs; the others are as if they were not installed."""
    file: str = "test_orders.py"
    """The tests."""
    options: tuple[str, ...] = ()
    """Further words for pytest."""


@dataclass(frozen=True)
class Figures:
    """What one run took, in seconds."""

    tests: int
    """How many tests ran; all of them passed."""
    whole: float
    """From the start of the process to its end."""
    to_first: float
    """From the start of the process to the set-up of the first test."""
    took: float
    """From there to the end of the last teardown."""

    @property
    def per_test(self) -> float:
        """Milliseconds per test, set-up and teardown included."""
        return 1000 * self.took / self.tests


def run(contender: Contender, tests: int, *, server: str, workers: int = 0) -> Figures:
    """Run *tests* tests once; raise RuntimeError with pytest's output unless all of them pass."""
    folder = _project(contender.folder)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        figures = Path(scratch, "figures.json")
        command = [sys.executable, "-m", "pytest", str(folder / contender.file)]
        command += [f"-pno:{name}" for name in PLUGINS if name != contender.plugin]
        command += contender.options
        command += ["-n", str(workers)] if workers else ["-p", "no:xdist"]
        environment = {
            **{name: text for name, text in os.environ.items() if "XDIST" not in name},
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "",
            "TEST_DATABASE_URL": _with_database(server, "bench_kit_test"),
            "BENCH_SERVER": server,
            "BENCH_TESTS": str(tests),
            "BENCH_FIGURES": str(figures),
            "BENCH_LAUNCHED": str(time.monotonic()),
        }
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        whole = time.monotonic() - began
        if done.returncode != 0 or f"{tests} passed" not in done.stdout:
            raise RuntimeError(f"{contender.name}: not all passed\n{done.stdout}{done.stderr}")
        written = json.loads(figures.read_text())
    return Figures(written["tests"], whole, written["to first test"], written["tests took"])


@functools.cache
def _project(contender: str) -> Path:
    """Return a folder with the suite and what the *contender* adds to it, outside of this project.

    It is one for all runs, so that nothing is compiled anew, and goes with this process.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for source in (SUITE, HERE / "contenders" / contender):
        shutil.copytree(source, folder, dirs_exist_ok=True)
    return folder


def _with_database(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def turns(
    contenders: Iterable[Contender], tests: int, *, server: str, count: int, workers: int = 0
) -> dict[str, list[Figures]]:
    """Run every contender *count* times, by turns, after one run each that warms the caches.

    Each turn begins with another contender, so that none always comes after the same one.
    """
    order = list(contenders)
    for contender in order:
        run(contender, 2, server=server, workers=workers)
    found: dict[str, list[Figures]] = {contender.name: [] for contender in order}
    for turn in range(count):
        shift = turn % len(order)
        for contender in [*order[shift:], *order[:shift]]:
            figures = run(contender, tests, server=server, workers=workers)
            found[contender.name].append(figures)
            sys.stderr.write(f"  {contender.name}, {tests} tests: {figures.per_test:.2f} ms each\n")
    return found


def median_ratio(some: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios within each turn."""
    return statistics.median(one / other for one, other in zip(some, others, strict=True))


def clock(command: Sequence[str], *, count: int, environment: dict[str, str]) -> list[float]:
    """Return how long *command* took, in seconds, each of *count* times."""
    times = []
    for _ in range(count):
        began = time.monotonic()
        subprocess.run(command, env=environment, capture_output=True, check=True)
        times.append(time.monotonic() - began)
    return times
