"""Rounds of one run that is killed at a random instant, and one that must then be green."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pgsandbox import servers
from pgsandbox.servers import Server
from tests.kit.crash.project import write_project
from tests.kit.crash.seen import Machine, Remains
from tests.kit.external import external_server
from tests.kit.integration.plugin.projects import Outcome, Project

_XDIST = ("-p", "xdist", "-n", "2")
_ATTEMPTS = 60
_LIMIT = 60.0
_LIMIT_OF_CLEARING = 5.0
"""Seconds in which what nobody uses any more is gone by itself."""


@dataclass(frozen=True)
class Case:
    """What is killed, and in which run."""

    victim: str
    """``controller``, ``worker``, ``postmaster``, ``watchdog`` or ``backend``."""
    server: str
    """``embedded`` or ``given``."""
    arguments: tuple[str, ...] = ()
    """Arguments of pytest."""

    def __str__(self) -> str:
        """How the table names it."""
        workers = ", two workers" if self.arguments else ""
        return f"{self.victim}, {self.server} server{workers}"


CASES = (
    Case("controller", "embedded"),
    Case("controller", "given"),
    Case("controller", "embedded", _XDIST),
    Case("controller", "given", _XDIST),
    Case("worker", "embedded", _XDIST),
    Case("worker", "given", _XDIST),
    Case("postmaster", "embedded"),
    Case("postmaster", "embedded", _XDIST),
    Case("watchdog", "embedded"),
    Case("backend", "embedded", _XDIST),
)
"""What the harness goes through, in turn."""


@dataclass(frozen=True)
class Round:
    """How one round went."""

    case: Case
    instant: float
    """Seconds from when the victim was first seen to its death."""
    killed: Outcome
    """The run with the victim, which ended one way or the other."""
    was_left: Remains
    """What was left right after it."""
    next: Outcome
    """The run after it."""
    is_left: Remains
    """What is left after that one."""

    @property
    def problem(self) -> str:
        """What should not be, in one line; nothing if all is well."""
        if self.killed.seconds > _LIMIT:
            return f"the killed run took {self.killed.seconds:.0f} s to end"
        if self.next.code != 0:
            return f"the next run ended with {self.next.code}:\n{self.next.text}"
        if self.is_left:
            return f"left: {self.is_left}"
        return ""


@dataclass
class Harness:
    """Runs rounds on a machine that it keeps to itself as far as it can."""

    project: Project
    cache: Path
    given: Server
    chance: random.Random
    _lengths: dict[tuple[str, ...], float] = field(default_factory=dict)

    def round(self, case: Case) -> Round:
        """Kill the victim of *case* at a random instant of its life, and run once more."""
        machine = Machine(self.project, self.cache, self.given if case.server == "given" else None)
        killed = None
        for _ in range(_ATTEMPTS):
            delay = self.chance.uniform(0, self._length(machine, case))
            killed = self._killed(machine, case, delay)
            if killed is not None:
                break
        if killed is None:
            raise RuntimeError(f"{case}: no victim was met in {_ATTEMPTS} runs")
        was_left = machine.remains()
        again = self._run(machine, case)
        return Round(case, delay, killed, was_left, again, _settled(machine))

    def _length(self, machine: Machine, case: Case) -> float:
        """How long a run of that kind took undisturbed, the first one, which compiles, too."""
        kind = (case.server, *case.arguments)
        if kind not in self._lengths:
            self._lengths[kind] = self._run(machine, case).seconds
        return self._lengths[kind]

    def _killed(self, machine: Machine, case: Case, delay: float) -> Outcome | None:
        """The outcome of a run whose victim died after *delay*; None if it was over before."""
        process = self._start(machine, case)
        began = time.monotonic()
        while (pid := machine.pid_of(case.victim, process.pid)) is None:
            if process.poll() is not None:
                break
            time.sleep(0.002)
        deadline = time.monotonic() + delay
        while process.poll() is None and time.monotonic() < deadline:
            machine.look()
            time.sleep(0.002)
        machine.look()
        pid = machine.pid_of(case.victim, process.pid) if process.poll() is None else None
        has_died = pid is not None and _kill(pid)
        # Workers of a killed controller keep its pipes open until they notice.
        outcome = self.project.finish(process, began, seconds=_LIMIT)
        return outcome if has_died else None

    def _run(self, machine: Machine, case: Case) -> Outcome:
        began = time.monotonic()
        return self.project.finish(self._start(machine, case), began, seconds=_LIMIT)

    def _start(self, machine: Machine, case: Case) -> subprocess.Popen[str]:
        environ = {"XDG_CACHE_HOME": str(self.cache), "PGSANDBOX_SERVER": "embedded"}
        if machine.given is not None:
            url = machine.given.url_of(f"{self.project.name}_test")
            environ["TEST_DATABASE_URL"] = url.render_as_string(hide_password=False)
            environ["PGSANDBOX_SERVER"] = "external"
        return self.project.start(*case.arguments, **environ)


@contextmanager
def harness(seed: int, folder: Path) -> Iterator[Harness]:
    """A harness whose files stand below *folder*, with a given server of its own."""
    with ExitStack() as stack:
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crash-", dir="/tmp")))
        cache.chmod(0o755)  # root's server is another user's process
        url = stack.enter_context(external_server()).url
        given = servers.given(url, reason="a test", source="a test")
        project = write_project(folder / "project")
        yield Harness(project, cache, given, random.Random(seed))  # noqa: S311 - no secret


def table(rounds: Sequence[Round]) -> str:
    """What came of *rounds*, one line for each case."""
    kinds = list(Remains().counts())
    head = ["killed", "rounds", "next green", "longest end", *[f"{each} left" for each in kinds]]
    rows = [[str(case), *_row([each for each in rounds if each.case == case])] for case in CASES]
    rows.append(["all", *_row(rounds)])
    return as_table(head, [row for row in rows if row[1] != "0"])


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown whose columns stand below each other."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    padded = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def _row(rounds: Sequence[Round]) -> list[str]:
    green = sum(each.next.code == 0 for each in rounds)
    longest = max((each.killed.seconds for each in rounds), default=0.0)
    left = [each.is_left.counts() for each in rounds]
    totals = [sum(counts[kind] for counts in left) for kind in Remains().counts()]
    return [str(len(rounds)), str(green), f"{longest:.1f} s", *map(str, totals)]


def _settled(machine: Machine) -> Remains:
    """What is left once all that goes by itself has had the time for it."""
    deadline = time.monotonic() + _LIMIT_OF_CLEARING
    while (remains := machine.remains()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return remains


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
