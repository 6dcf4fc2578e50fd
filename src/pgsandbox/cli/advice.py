"""What to change about a server, in order of what it gains: pure rules on what `doctor` measured.

A gain is an estimate in milliseconds for one test, of a kind that is named: a sandboxed test of
thirty statements, or a test with a clone. It is made of figures that were measured on the spot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_STATEMENTS = 30
"""Statements of a test: five inserts by a factory, a commit, queries, and the sandbox's own."""
_ON_A_SOCKET = 0.1
"""Milliseconds of a round trip through a Unix socket, rounded up."""
_WORTHWHILE = 1.0
"""Milliseconds for each test below which nobody is told to change anything."""

DURABILITY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
"""The settings that make a server safe and slow, and what a server for tests has instead."""


@dataclass(frozen=True)
class Costs:
    """What was measured, in milliseconds, each as the median of several."""

    round_trip: float
    """A statement that does nothing."""
    commit: float
    """A commit of one row, as the server is."""
    commit_without_waiting: float
    """The same with synchronous_commit off."""
    create: float
    """CREATE DATABASE of an empty one."""
    copy: float
    """CREATE DATABASE of a copy."""
    drop: float
    """DROP DATABASE."""


@dataclass(frozen=True)
class Situation:
    """What the rules look at."""

    kind: str
    """``given`` or ``embedded``."""
    version: int
    """``server_version_num``."""
    role: str
    """The role of the run."""
    may_create: bool
    """Whether it may create databases."""
    is_superuser: bool
    """Whether nothing is refused to it."""
    settings: dict[str, str]
    """Settings of the server, by name."""
    costs: Costs | None
    """What was measured; None where nothing could be created."""
    free: int
    """Connections that are left."""
    most_processes: int
    """How many processes they are enough for."""
    processors: int
    """How many processors this machine has for them."""
    left_over: int = 0
    """Databases that dead runs left."""
    kept: int = 0
    """Databases that people kept."""


@dataclass(frozen=True)
class Advice:
    """One thing to change."""

    what: str
    """What to do, as an imperative."""
    why: str
    """What it gains, with the figures."""
    gain: float = 0.0
    """Milliseconds for each test of the kind that *why* names."""
    is_problem: bool = False
    """Whether runs fail, or will soon, until it is done."""


def advise(situation: Situation) -> list[Advice]:
    """What to change, problems first, then by gain."""
    found = [*_problems(situation), *_slow(situation), *_untidy(situation)]
    return sorted(found, key=lambda each: (not each.is_problem, -each.gain))


def _problems(situation: Situation) -> Iterator[Advice]:
    if not situation.may_create:
        yield Advice(
            f'Let the role create databases: ALTER ROLE "{situation.role}" CREATEDB',
            "without it there is nothing to test in on this server",
            is_problem=True,
        )
    if situation.most_processes < situation.processors:
        yield Advice(
            "Raise max_connections, or end other sessions",
            f"{situation.free} connections are left, enough for {situation.most_processes} workers "
            f"on {situation.processors} processors",
            is_problem=situation.most_processes == 0,
        )


def _slow(situation: Situation) -> Iterator[Advice]:
    costs = situation.costs
    if costs is None:
        return
    durable = [name for name, off in DURABILITY.items() if situation.settings.get(name) != off]
    if durable and situation.kind == "given":
        clone = costs.copy + costs.drop
        waiting = max(0.0, costs.commit - costs.commit_without_waiting)
        yield Advice(
            f"Turn off {', '.join(durable)} on a server that holds nothing but test databases, or "
            'set server = "embedded"',
            f"copying and dropping a database takes {clone:.0f} ms for each test with a clone, and "
            f"each commit in it waits {waiting:.1f} ms for the disk",
            gain=clone + waiting,
        )
    travel = (costs.round_trip - _ON_A_SOCKET) * _STATEMENTS
    if travel > _WORTHWHILE:
        yield Advice(
            "Bring the server nearer: a Unix socket, or an embedded server on each machine",
            f"a round trip takes {costs.round_trip:.2f} ms, and so a test of {_STATEMENTS} "
            f"statements {travel:.0f} ms more than through a socket",
            gain=travel,
        )


def _databases(number: int) -> str:
    return "1 database is" if number == 1 else f"{number} databases are"


def _untidy(situation: Situation) -> Iterator[Advice]:
    if situation.left_over:
        yield Advice(
            "Run `pgsandbox reap`, or any test run",
            f"{_databases(situation.left_over)} left over from killed runs",
        )
    if situation.kept:
        yield Advice(
            "Run `pgsandbox reap --kept` if nobody looks at them any more",
            f"{_databases(situation.kept)} kept",
        )
    if situation.is_superuser and situation.kind == "given":
        yield Advice(
            "Give the runs a role of their own with LOGIN and CREATEDB, and no more",
            f'"{situation.role}" is a superuser, and tests can do whatever it can',
        )
