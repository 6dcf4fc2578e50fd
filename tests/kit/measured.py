"""Which tests' runs of projects coverage looks at; `measured.toml` says why not all.

With ``KIT_TESTS_MEASURE_ALL`` set, it looks at all, and keeps apart what it saw for which test, and
for how long. Then ``python -m tests.kit.measured`` chooses anew from what ``coverage combine`` has
left.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import sqlite3
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")
ALL = "KIT_TESTS_MEASURE_ALL"
MEASURED = "COVERAGE_PROCESS_CONFIG"
"""Where coverage.py's patch for subprocesses tells them what to measure."""
_TESTS = "tests/kit/"
_TIMES = Path(__file__).parents[2] / ".coverage-times"


@functools.cache
def _chosen(what: str) -> tuple[str, ...]:
    """The beginnings of the ids of tests."""
    return tuple(_TESTS + each for each in tomllib.loads(FILE.read_text("utf-8"))[what])


def for_runs(test: str, configuration: str) -> str | None:
    """What tells coverage to look at the forks that run a program for *test*, if it should.

    It is the id of a test, or of a fixture that is wider than one: its place and its name.
    """
    if ALL in os.environ:
        return _apart(configuration, f"runs {test}")
    return configuration if test.startswith(_chosen("runs")) else None


def for_started(test: str, configuration: str) -> str | None:
    """The same for all that *test* and its forks start in another way, and those in their turn."""
    if ALL in os.environ:
        return _apart(configuration, f"started {test}")
    return configuration if test.startswith(_chosen("started")) else None


def _apart(configuration: str, context: str) -> str:
    settings = json.loads(base64.b64decode(configuration))
    return base64.b64encode(json.dumps(settings | {"context": context}).encode()).decode()


def keep_time(configuration: str | None, seconds: float) -> None:
    """Write down what a fork with this *configuration* has used of a processor, to choose by."""
    if configuration is not None and ALL in os.environ:
        context = json.loads(base64.b64decode(configuration))["context"]
        with _TIMES.open("a", encoding="utf-8") as times:
            times.write(f"{seconds:.3f} {context}\n")


# ------------------------------------------------------------------------------ the list itself

_LEAST = {"runs": 5, "started": 10}
"""How many branches that nothing else has taken are worth a second of a processor's time."""
_START = 0.5
"""What it takes to look at a process that is no fork, in seconds; nobody measures what it does."""
_HEAD = """\
# What coverage looks at beside the tests' own processes. To look at all that they start would take
# a fourth of the suite's time, and find the same lines again. These were chosen by
# `python -m tests.kit.measured` after `KIT_TESTS_MEASURE_ALL=1 nox -s coverage`, those first that
# take the most branches in the least time. An entry names a test, or a wider fixture by its place
# and name, or more by the beginning of these, below tests/kit. Where the report misses lines that a
# run of a project runs, choose anew.
"""
_MEANING = {
    "runs": "The pytest or pgsandbox that a test runs as a fork.",
    "started": "What a test, or such a fork, starts in another way: endpoints, workers, commands.",
}

_Branches = set[tuple[int, int, int]]


def _branches(data: Path) -> Mapping[str, _Branches]:
    """What each context of *data* has taken: a file, and from which line to which."""
    found: dict[str, _Branches] = defaultdict(set)
    with sqlite3.connect(data) as connection:
        for context, *branch in connection.execute(
            "SELECT context, file_id, fromno, tono FROM arc JOIN context ON context.id = context_id"
        ):
            found[context].add(tuple(branch))
    return found


def _times() -> dict[str, float]:
    """How many seconds each context has taken, where that is known."""
    seconds: dict[str, float] = defaultdict(float)
    for line in _TIMES.read_text("utf-8").splitlines():
        took, _, context = line.partition(" ")
        seconds[context] += float(took)
    return seconds


def choose(found: Mapping[str, _Branches], seconds: Mapping[str, float]) -> dict[str, list[str]]:
    """The tests that take the most branches a second which none chosen before has taken."""
    taken = set(found[""])
    chosen = {}
    for what, least in _LEAST.items():
        left = {name: each for name, each in found.items() if name.startswith(f"{what} ")}
        chosen[what] = names = list[str]()
        while left:
            worth, best = max(
                (len(branches - taken) / seconds.get(name, _START), name)
                for name, branches in left.items()
            )
            if worth < least:
                break
            taken |= left.pop(best)
            names.append(best.removeprefix(f"{what} ").removeprefix(_TESTS))
        print(f"{what}: {len(names)}")
    missing = len(set().union(*found.values()) - taken)
    print(f"{missing} of {len(taken) + missing} branches are left out")
    return chosen


def _write(chosen: Mapping[str, list[str]]) -> None:
    parts = [_HEAD]
    for what, names in chosen.items():
        entries = "".join(f"    {json.dumps(name)},\n" for name in sorted(names))
        parts.append(f"\n# {_MEANING[what]}\n{what} = [\n{entries}]\n")
    FILE.write_text("".join(parts), "utf-8")


if __name__ == "__main__":
    _write(choose(_branches(Path(".coverage")), _times()))
    _TIMES.unlink()
