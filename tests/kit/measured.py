"""Which tests' runs of projects coverage looks at; `measured.toml` says why not all.

With ``KIT_TESTS_MEASURE_ALL`` set, it looks at all, and keeps apart what it saw for which test.
Then ``python -m tests.kit.measured`` chooses anew from what ``coverage combine`` has left.
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
    is_chosen = test.startswith(_chosen("runs") + _chosen("whole"))
    return configuration if is_chosen else None


def for_all(test: str, configuration: str) -> str | None:
    """The same for all processes that *test* starts, and those at theirs."""
    if ALL in os.environ:
        return _apart(configuration, f"whole {test}")
    return configuration if test.startswith(_chosen("whole")) else None


def _apart(configuration: str, context: str) -> str:
    settings = json.loads(base64.b64decode(configuration))
    return base64.b64encode(json.dumps(settings | {"context": context}).encode()).decode()


# ------------------------------------------------------------------------------ the list itself

_LEAST = {"runs": 2, "whole": 10}
"""How many branches that nothing else has taken are worth the time of one more test."""
_HEAD = """\
# Which tests' runs of projects coverage looks at. To look at all would take a fourth of the suite's
# time, and find the same lines again. These were chosen by `python -m tests.kit.measured` after
# `KIT_TESTS_MEASURE_ALL=1 nox -s coverage`, as long as one more took a few branches that no other
# did. An entry names a test, or a wider fixture by its place and name, or more by the beginning of
# these, below tests/kit. Where the report misses lines that a run of a project runs, choose anew.
"""
_MEANING = {
    "runs": "The pytest or pgsandbox that a test runs as a fork.",
    "whole": "These, and what they start in their turn: endpoints, workers, commands.",
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


def choose(found: Mapping[str, _Branches]) -> dict[str, list[str]]:
    """The tests whose runs take the most of what none that was chosen before them has taken."""
    taken = set(found[""])
    chosen = {}
    for what, least in _LEAST.items():
        left = {name: each for name, each in found.items() if name.startswith(f"{what} ")}
        chosen[what] = names = list[str]()
        while left:
            best = max(left, key=lambda name: len(left[name] - taken))
            more = left.pop(best) - taken
            if len(more) < least:
                break
            taken |= more
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
    _write(choose(_branches(Path(".coverage"))))
