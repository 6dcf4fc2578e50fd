"""What came of each test of a suite, and which came out otherwise through the endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What came of one test in one run."""

    verdict: str
    """``passed``, ``failed``, ``error``, ``skipped``, ``xfailed``, ``xpassed``, ``hung``, or
    ``died`` if the process ended with it."""
    message: str = ""
    """What the test said, with its traceback."""
    seconds: float = 0.0
    """How long it took."""

    @property
    def words(self) -> str:
        """The first line of the message."""
        return self.message.strip().partition("\n")[0].strip()


Outcomes = Mapping[str, Outcome]
"""The outcomes of a run by the tests' node ids."""


@dataclass(frozen=True)
class Difference:
    """A test that came out otherwise through the endpoint."""

    test: str
    real: Outcome
    endpoint: Outcome

    @property
    def cause(self) -> str:
        """What all differences of one cause have in common, as far as words can tell."""
        if self.endpoint.verdict in ("passed", "xfailed", "xpassed"):
            return f"{self.endpoint.verdict}; on a real connection {_generalised(self.real)}"
        return _generalised(self.endpoint)


@dataclass(frozen=True)
class Comparison:
    """A suite on real connections and through the endpoint."""

    suite: str
    tests: int
    """How many ran on real connections."""
    passed: int
    """How many of them passed there, in every run."""
    unsteady: tuple[str, ...]
    """Those that came out in more than one way on real connections; nothing is said of them."""
    differences: tuple[Difference, ...]

    def causes(self) -> list[list[Difference]]:
        """The differences in groups of one cause, the largest first."""
        groups: dict[str, list[Difference]] = {}
        for difference in self.differences:
            groups.setdefault(difference.cause, []).append(difference)
        return sorted(groups.values(), key=lambda group: (-len(group), group[0].test))


def compare(suite: str, real: Sequence[Outcomes], endpoint: Sequence[Outcomes]) -> Comparison:
    """Return the tests that came out otherwise in a run of *endpoint* than in all of *real*.

    A test that one side alone has differs, too: it is ``missing`` on the other one.
    """
    missing = Outcome("missing", "the test did not run")
    names = list(dict.fromkeys(name for run in real for name in run))
    unsteady, differences, passed = [], [], 0
    for name in names:
        here = [run.get(name, missing) for run in real]
        if len({each.verdict for each in here}) > 1:
            unsteady.append(name)
            continue
        passed += here[0].verdict == "passed"
        for run in endpoint:
            there = run.get(name, missing)
            if there.verdict != here[0].verdict:
                differences.append(Difference(name, here[0], there))
                break
    for name in dict.fromkeys(name for run in endpoint for name in run):
        if name not in names:
            there = next(run[name] for run in endpoint if name in run)
            differences.append(Difference(name, missing, there))
    return Comparison(suite, len(names), passed, tuple(unsteady), tuple(differences))


def read(path: Path) -> dict[str, Outcome]:
    """Return the outcomes that a suite's own pytest has written to *path* (``suite_recorder``)."""
    return {
        line["test"]: Outcome(line["outcome"], line["message"], line["seconds"])
        for line in _lines(path)
        if "outcome" in line
    }


def close(path: Path) -> None:
    """Write to *path* that the test which began last ended the process, if it has no outcome."""
    began = None
    for line in _lines(path):
        has_ended = "outcome" in line or "again" in line
        began = None if has_ended else line.get("began", began)
    if began is not None:
        message = "the process ended while the test ran"
        line = {"test": began, "outcome": "died", "message": message, "seconds": 0.0}
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")


def is_complete(path: Path) -> bool:
    """Whether the suite that wrote *path* came to its end.

    pytest's exit statuses 0, 1 and 5 say so: all is well, tests failed, there was none.
    """
    last = (_lines(path) or [{}])[-1]
    return last.get("end") in (0, 1, 5)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# What differs from test to test of one cause: names in quotes, numbers, addresses.
_PARTICULARS = (
    (re.compile(r"0x[0-9a-f]+"), "0x…"),
    (re.compile(r'"[^"]*"'), '"…"'),
    (re.compile(r"'[^']*'"), "'…'"),
    (re.compile(r"\d+"), "N"),
)


def _generalised(outcome: Outcome) -> str:
    words = outcome.words
    for pattern, instead in _PARTICULARS:
        words = pattern.sub(instead, words)
    return f"{outcome.verdict}: {words}"[:200]
