"""Which tests' runs of projects coverage looks at; `measured.toml` says why not all.

With ``KIT_TESTS_MEASURE_ALL`` set, it looks at all: what the report then has more is missing there.
"""

from __future__ import annotations

import functools
import os
import tomllib
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")
ALL = "KIT_TESTS_MEASURE_ALL"
MEASURED = "COVERAGE_PROCESS_CONFIG"
"""Where coverage.py's patch for subprocesses tells them what to measure."""
_TESTS = "tests/kit/"


@functools.cache
def _chosen() -> dict[str, tuple[str, ...]]:
    """The beginnings of the ids of tests."""
    said = tomllib.loads(FILE.read_text("utf-8"))
    return {what: tuple(_TESTS + each for each in ids) for what, ids in said.items()}


def are_runs_measured(test: str) -> bool:
    """Whether coverage looks at the forks that run a program for *test*, by its id."""
    return is_measured_whole(test) or test.startswith(_chosen()["runs"])


def is_measured_whole(test: str) -> bool:
    """Whether it looks at all processes that *test* starts, and those at theirs."""
    return ALL in os.environ or test.startswith(_chosen()["whole"])
