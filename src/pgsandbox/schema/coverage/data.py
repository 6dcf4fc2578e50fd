"""The coverage of a schema as data: what a run found, the sum of several, and what comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

YES, ARRANGED, UNKNOWN, NO = "yes", "arranged", "unknown", "no"
"""A point is touched, touched by the tests' own session alone, not to be told, or not touched."""
_ORDER = (YES, ARRANGED, UNKNOWN, NO)
VERSION = 1

IMPORTANCE = {
    ("table", "written"): 0,
    ("check", "refused"): 1,
    ("exclusion", "refused"): 1,
    ("unique", "refused"): 2,
    ("action", "fired"): 3,
    ("trigger", "fired"): 4,
    ("not null", "given"): 5,
    ("foreign key", "refused"): 6,
    ("enum value", "seen"): 7,
    ("table", "read"): 8,
    ("view", "read"): 8,
    ("column", "written"): 9,
    ("index", "used"): 10,
    ("column", "read"): 11,
    ("primary key", "refused"): 12,
}
"""What is missed, the most important first. A constraint that never refused may not be there."""

KINDS = {
    "table": "tables",
    "view": "views",
    "column": "columns",
    "check": "check constraints",
    "exclusion": "exclusion constraints",
    "unique": "unique constraints and indexes",
    "primary key": "natural primary keys",
    "foreign key": "foreign keys",
    "action": "foreign-key actions",
    "not null": "NOT NULL with a default",
    "trigger": "triggers",
    "enum value": "enum values",
    "index": "indexes",
}
"""The kinds of parts, in the order of the summary."""

WORDS = {
    ("table", "written"): "no row was ever written",
    ("table", "read"): "was never read",
    ("view", "read"): "was never read",
    ("column", "written"): "was never given a value",
    ("column", "read"): "was never read",
    ("not null", "given"): "was only ever fed by its default",
    ("index", "used"): "no statement would use it",
    ("enum value", "seen"): "stood in no row and in no statement",
    ("action", "fired"): "never fired",
    ("trigger", "fired"): "never fired",
}


@dataclass
class Part:
    """One thing of the schema that tests can touch."""

    kind: str
    table: str
    name: str
    detail: str = ""
    """Its definition."""
    points: dict[str, str] = field(default_factory=dict)
    """What can be done to it, and whether it was."""

    @property
    def key(self) -> str:
        """What makes it the same in another run."""
        return f"{self.kind} {self.table} {self.name}"


@dataclass(frozen=True)
class Miss:
    """Something that no test has done."""

    part: Part
    point: str

    @property
    def rank(self) -> int:
        """Its place in the order; 0 comes first."""
        return IMPORTANCE[self.part.kind, self.point]

    @property
    def said(self) -> str:
        """What is missing, in words."""
        return WORDS.get((self.part.kind, self.point), f"never {self.point}")


@dataclass
class Coverage:
    """What the tests of one run or several have touched of one database's schema."""

    parts: dict[str, Part] = field(default_factory=dict)
    statements: int = 0
    """How many different statements it was read from."""
    opaque: dict[str, str] = field(default_factory=dict)
    """Statements that were not understood, each with what the server said."""
    routines: list[str] = field(default_factory=list)
    """Functions that ran and whose bodies nobody has read."""
    notes: list[str] = field(default_factory=list)
    """What could not be known in this run."""

    def count(self, kinds: Iterable[str] = tuple(KINDS)) -> tuple[int, int]:
        """Return how many points of *kinds* were touched, and how many there are.

        What could not be told is in neither.
        """
        wanted = set(kinds)
        states = [
            state
            for part in self.parts.values()
            if part.kind in wanted
            for state in part.points.values()
            if state != UNKNOWN
        ]
        return sum(state in (YES, ARRANGED) for state in states), len(states)

    @property
    def percent(self) -> float:
        """The share of what was touched, in percent; 100 where there is nothing."""
        touched, all_points = self.count()
        return 100.0 * touched / all_points if all_points else 100.0

    def missed(self) -> list[Miss]:
        """Return what no test has done, the most important first.

        Of a table that was not written, nothing else is listed: it is all missing.
        """
        untouched = {
            part.table
            for part in self.parts.values()
            if part.kind == "table" and part.points.get("written") == NO
        }
        found = [
            Miss(part, point)
            for part in self.parts.values()
            for point, state in part.points.items()
            if state == NO
            and (part.table not in untouched or (part.kind, point) == ("table", "written"))
        ]
        return sorted(found, key=lambda each: (each.rank, each.part.table, each.part.name))

    def untouched_below(self, table: str) -> int:
        """Return how many more points of *table* are missing."""
        return sum(
            state == NO
            for part in self.parts.values()
            if part.table == table
            for state in part.points.values()
        )

    def unknown(self) -> list[tuple[Part, str]]:
        """Return what could not be told."""
        return [
            (part, point)
            for part in self.parts.values()
            for point, state in part.points.items()
            if state == UNKNOWN
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "statements": self.statements,
            "parts": [vars(each) for each in self.parts.values()],
            "opaque": self.opaque,
            "routines": self.routines,
            "notes": self.notes,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Coverage:
        """Return what `as_dict` wrote down."""
        parts = [Part(**each) for each in data["parts"]]
        return Coverage(
            {each.key: each for each in parts},
            data["statements"],
            dict(data["opaque"]),
            list(data["routines"]),
            list(data["notes"]),
        )


def merged(several: Iterable[Coverage]) -> Coverage:
    """Return the sum: what one of *several* has touched was touched.

    Of the statements, the most that one has sent: workers send the same ones.
    """
    total = Coverage()
    for each in several:
        total.statements = max(total.statements, each.statements)
        total.opaque.update(each.opaque)
        total.routines = sorted({*total.routines, *each.routines})
        total.notes = list(dict.fromkeys([*total.notes, *each.notes]))
        for key, part in each.parts.items():
            known = total.parts.get(key)
            if known is None:
                total.parts[key] = Part(**{**vars(part), "points": dict(part.points)})
                continue
            for point, state in part.points.items():
                known.points[point] = min(known.points.get(point, NO), state, key=_ORDER.index)
    return total
