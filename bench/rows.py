"""What is measured: one function for each table."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from bench.measuring import Contender, Figures, clock, median_ratio, turns

KIT = Contender("pgsandbox, sandbox", "kit", plugin="pgsandbox")
CLONE = Contender("pgsandbox, clone", "clone", plugin="pgsandbox")
RECIPE = Contender("hand-written recipe", "recipe")
TRUNCATE = Contender("TRUNCATE after each test", "truncate")
CREATE_DROP = Contender("create_all and drop_all", "create_drop")
PYTEST_POSTGRESQL = Contender("pytest-postgresql", "pytest_postgresql", plugin="pytest_postgresql")

REUSE = Contender("pgsandbox, --pg-reuse", "kit", plugin="pgsandbox", options=("--pg-reuse",))

WITHOUT_FINDINGS = Contender(
    "pgsandbox, uncommitted = ignore", "without_findings", plugin="pgsandbox"
)

_ASYNC = {
    "file": "test_async_orders.py",
    "options": (
        *("-p", "pytest_asyncio.plugin"),
        *("-o", "asyncio_default_fixture_loop_scope=session"),
    ),
}
ASYNC_KIT = Contender("pgsandbox, sandbox, asyncpg", "async_kit", plugin="pgsandbox", **_ASYNC)
ASYNC_RECIPE = Contender("hand-written recipe, asyncpg", "async_recipe", **_ASYNC)

NO_DATABASE = Contender("with the plugin", "kit", plugin="pgsandbox", file="test_nothing.py")
PLAIN = Contender("plain pytest", "recipe", file="test_nothing.py")


@dataclass(frozen=True)
class Table:
    """A table of figures, as the page and the terminal show it."""

    name: str
    """What a page includes it by."""
    title: str
    """What it measures."""
    columns: tuple[str, ...]
    """What stands above each column."""
    rows: tuple[tuple[str, ...], ...]
    """The cells."""
    targets: tuple[tuple[str, float, float], ...] = ()
    """What has to be reached: its name, the figure found, the greatest that is good enough."""


def isolation(server: str, tests: int, *, count: int, is_long: bool) -> Table:
    """Compare every way of isolation; the slow ones only where *is_long*."""
    contenders = [RECIPE, KIT, TRUNCATE]
    contenders += [CREATE_DROP, PYTEST_POSTGRESQL, CLONE] if is_long else []
    found = turns(contenders, tests, server=server, count=count)
    ratio = median_ratio(_per_test(found[KIT.name]), _per_test(found[RECIPE.name]))
    targets = [(f"sandbox / recipe, {tests} tests", ratio, 1.0)]
    if is_long:
        share = median_ratio(_per_test(found[CLONE.name]), _per_test(found[PYTEST_POSTGRESQL.name]))
        targets.append((f"clone / pytest-postgresql, {tests} tests", share, 0.2))
    return Table(
        f"isolation-{tests}",
        f"Time per test, {tests} tests, {count} turns",
        ("isolation", "ms per test", "against the recipe", "whole run, s"),
        tuple(_row(name, runs, found[RECIPE.name]) for name, runs in found.items()),
        tuple(targets),
    )


def workers(server: str, tests: int, *, count: int) -> Table:
    """Compare what two workers of pytest-xdist bring to the kit and to the recipe."""
    alone = turns([RECIPE, KIT], tests, server=server, count=count)
    paired = turns([RECIPE, KIT], tests, server=server, count=count, workers=2)
    gain = {name: median_ratio(_whole(alone[name]), _whole(paired[name])) for name in alone}
    return Table(
        "workers",
        f"Two workers, {tests} tests, {count} turns",
        ("isolation", "whole run, s", "whole run with -n 2, s", "speed-up"),
        tuple(
            (name, _median(_whole(alone[name])), _median(_whole(paired[name])), f"{factor:.2f}")
            for name, factor in gain.items()
        ),
        (
            (
                f"recipe's speed-up / kit's, {tests} tests",
                gain[RECIPE.name] / gain[KIT.name],
                1 / 0.95,
            ),
        ),
    )


def asynchronous(server: str, tests: int, *, count: int) -> Table:
    """Compare the sandbox with the recipe on an asynchronous session."""
    return _beside(
        ASYNC_KIT,
        ASYNC_RECIPE,
        turns([ASYNC_RECIPE, ASYNC_KIT], tests, server=server, count=count),
        ("asynchronous", f"Time per asynchronous test, {tests} tests, {count} turns"),
        (f"asynchronous sandbox / recipe, {tests} tests", 1.0),
    )


def findings(server: str, tests: int, *, count: int) -> Table:
    """Compare tests with the search for what was never committed, and without it."""
    return _beside(
        KIT,
        WITHOUT_FINDINGS,
        turns([WITHOUT_FINDINGS, KIT], tests, server=server, count=count),
        ("findings", f"The search for what was never committed, {tests} tests, {count} turns"),
        (f"with the search / without, {tests} tests", 1.02),
    )


def _beside(
    kit: Contender,
    floor: Contender,
    found: dict[str, list[Figures]],
    title: tuple[str, str],
    target: tuple[str, float],
) -> Table:
    ratio = median_ratio(_per_test(found[kit.name]), _per_test(found[floor.name]))
    return Table(
        *title,
        ("run", "ms per test", "ratio", "whole run, s"),
        tuple(_row(name, runs, found[floor.name]) for name, runs in found.items()),
        ((target[0], ratio, target[1]),),
    )


def without_database(server: str, tests: int, *, count: int) -> Table:
    """Compare tests that use no database, with the plugin and without it."""
    found = turns([PLAIN, NO_DATABASE], tests, server=server, count=count)
    ratio = median_ratio(_per_test(found[NO_DATABASE.name]), _per_test(found[PLAIN.name]))
    return Table(
        "without-database",
        f"Tests that use no database, {tests} tests, {count} turns",
        ("pytest", "ms per test", "whole run, s"),
        tuple(
            (name, f"{statistics.median(_per_test(runs)):.3f}", _median(_whole(runs)))
            for name, runs in found.items()
        ),
        ((f"with the plugin / plain, {tests} tests", ratio, 1.02),),
    )


def embedded_starts(*, count: int) -> Table:
    """Say how long an embedded server takes to start, on a new machine and later."""
    first, later = [], []
    for _ in range(count):
        with tempfile.TemporaryDirectory(prefix="bench-") as cache:
            times = [_started(cache), _started(cache)]
            first.append(times[0])
            later.append(times[1])
    return Table(
        "embedded",
        f"Start of an embedded server, {count} turns",
        ("when", "s"),
        (("first on a machine", _median(first)), ("later", _median(later))),
        (
            ("first start, s", statistics.median(first), 1.5),
            ("later start, s", statistics.median(later), 0.3),
        ),
    )


def _started(cache: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _START, cache], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


_START = """
import sys, time
from pathlib import Path
from pgsandbox import servers
began = time.perf_counter()
server = servers.embedded(reason="for the benchmark", cache=Path(sys.argv[1]))
print(time.perf_counter() - began)
server.release()
"""


def second_run(server: str, *, count: int) -> Table:
    """Compare the way to the first test, in a run whose schema is there, and in bare pytest."""
    found = turns([PLAIN, KIT, REUSE], 2, server=server, count=count)
    to_first = {name: [figures.to_first for figures in runs] for name, runs in found.items()}
    pairs = zip(to_first[REUSE.name], to_first[PLAIN.name], strict=True)
    over = statistics.median(one - other for one, other in pairs)
    return Table(
        "second-run",
        f"From the start of the process to the first test, {count} turns",
        ("run", "s"),
        tuple((name, _median(times)) for name, times in to_first.items()),
        (("second run over bare pytest, s", over, 0.5),),
    )


def plugin_import(*, count: int) -> Table:
    """Say what the installed plugin adds to ``pytest --version`` where nothing configures it."""
    command = [sys.executable, "-m", "pytest", "--version", "-c", os.devnull]
    without = {**os.environ, "PYTEST_ADDOPTS": "-p no:pgsandbox"}
    clock(command, count=3, environment=without)
    pairs = [
        (
            clock(command, count=1, environment=dict(os.environ))[0],
            clock(command, count=1, environment=without)[0],
        )
        for _ in range(count)
    ]
    added = 1000 * statistics.median(one - other for one, other in pairs)
    return Table(
        "plugin",
        f"pytest --version, {count} turns",
        ("plugin", "ms"),
        (
            ("installed", f"{1000 * statistics.median(one for one, _ in pairs):.1f}"),
            ("switched off", f"{1000 * statistics.median(other for _, other in pairs):.1f}"),
            ("difference", f"{added:.1f}"),
        ),
        (("plugin import, ms", added, 10.0),),
    )


def _row(name: str, runs: list[Figures], floor: list[Figures]) -> tuple[str, ...]:
    per_test = _per_test(runs)
    ratio = median_ratio(per_test, _per_test(floor))
    return name, f"{statistics.median(per_test):.2f}", f"{ratio:.2f}", _median(_whole(runs))


def _per_test(runs: list[Figures]) -> list[float]:
    return [figures.per_test for figures in runs]


def _whole(runs: list[Figures]) -> list[float]:
    return [figures.whole for figures in runs]


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}"
