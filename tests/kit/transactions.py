"""What several connections do to one database, at random, and what production makes of it.

The sandbox promises the same result or a named error. Scripts are made here from a seed; the unit
tests play them against a model of the server, the integration tests against PostgreSQL.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

WRITES = ("insert", "call", "break")
"""A plain insert, a SELECT of a function that writes, a row that breaks a deferred constraint."""
STATEMENTS = (*WRITES, "read", "lock", "fail")
_WEIGHTS = {
    "insert": 4,
    "read": 3,
    "call": 1,
    "lock": 1,
    "fail": 1,
    "savepoint": 2,
    "release": 1,
    "rollback to": 2,
    "commit": 2,
    "rollback": 2,
}


class Row(NamedTuple):
    """A row, which only its own connection ever writes."""

    connection: int
    number: int
    is_broken: bool = False


class Step(NamedTuple):
    """What one connection does."""

    connection: int
    verb: str
    name: str = ""
    """The name of the savepoint."""
    number: int = 0
    """The number of the row that is written, a new one each time."""

    def __str__(self) -> str:
        return f"{self.connection} {self.verb} {self.name}".strip()


@dataclass
class Production:
    """One connection of a database in production: it sees what it wrote itself."""

    autocommit: bool = False
    committed: frozenset[Row] = frozenset()
    written: frozenset[Row] = frozenset()
    """By the open transaction."""
    is_open: bool = False
    has_failed: bool = False
    savepoints: list[tuple[str, frozenset[Row]]] = field(default_factory=list)

    @property
    def rows(self) -> frozenset[Row]:
        """Every row of its own that it sees."""
        return self.committed | self.written

    def allows(self, step: Step) -> bool:
        """Whether a program would take this *step* now."""
        if self.autocommit:
            return step.verb in STATEMENTS
        names = [name for name, _ in self.savepoints]
        match step.verb:
            case "commit" | "rollback":
                return self.is_open
            case "rollback to":
                return step.name in names
            case "release":
                return step.name in names and not self.has_failed
            case _:
                return not self.has_failed

    def do(self, step: Step) -> bool:
        """Take *step*, and return whether the server raises an error for it."""
        if self.autocommit:
            if step.verb in WRITES:
                self.committed |= {Row(step.connection, step.number)}
            return step.verb == "fail"
        match step.verb:
            case "commit" | "rollback":
                stands = step.verb == "commit" and not self.has_failed
                violates = stands and any(row.is_broken for row in self.written)
                if stands and not violates:
                    self.committed |= self.written
                self.written, self.savepoints = frozenset(), []
                self.is_open = self.has_failed = False
                return violates
            case "savepoint":
                self.savepoints.append((step.name, self.written))
            case "release":
                del self.savepoints[self._place_of(step.name) :]
            case "rollback to":
                place = self._place_of(step.name)
                self.written = self.savepoints[place][1]
                del self.savepoints[place + 1 :]
                self.has_failed = False
            case "fail":
                self.has_failed = True
            case verb if verb in WRITES:
                self.written |= {Row(step.connection, step.number, verb == "break")}
        self.is_open = True
        return step.verb == "fail"

    def _place_of(self, name: str) -> int:
        return max(place for place, (each, _) in enumerate(self.savepoints) if each == name)


def productions(connections: int, *, autocommit: bool) -> list[Production]:
    """Return that many connections; with *autocommit* the last one is in autocommit mode."""
    modes = [False] * (connections - 1) + [autocommit]
    return [Production(mode) for mode in modes]


def script(
    seed: int, *, steps: int, connections: int = 3, breaks: bool = False, autocommit: bool = False
) -> Iterator[Step]:
    """Return the steps that *connections* take one after the other until all have ended.

    With *breaks* the first connection also breaks a deferred constraint: if two did at once, one
    physical connection could not tell them apart.
    """
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    weights = _WEIGHTS | ({"break": 1} if breaks else {})
    worlds = productions(connections, autocommit=autocommit)
    for number in range(1, steps + 1):
        place = chance.randrange(connections)
        verb = chance.choices([*weights], [*weights.values()])[0]
        name = chance.choice("st") if verb in ("savepoint", "release", "rollback to") else ""
        if verb == "break" and place > 0:
            verb = "insert"
        step = Step(place, verb, name, number)
        if worlds[place].allows(step):
            worlds[place].do(step)
            yield step
    for place in chance.sample(range(connections), connections):
        last = Step(place, chance.choice(["commit", "rollback"]))
        if worlds[place].allows(last):
            yield last
