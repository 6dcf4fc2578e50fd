"""Folds what differs only because something else does into that other difference.

A table that is missing brings its columns, indexes and constraints with it, and the views that read
it; a column of another type lets the server write other casts into a check. Each of them would be a
finding that nobody can mend where it stands.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pgsandbox.schema.schema_objects import Catalog, Key, SchemaObject


class Change(NamedTuple):
    """A facet of an object that both schemas have."""

    key: Key
    """The object."""
    facet: str
    """What differs."""


@dataclass(frozen=True)
class Candidates:
    """What differs between two schemas."""

    only_left: frozenset[Key]
    """What only the first has."""
    only_right: frozenset[Key]
    """What only the second has."""
    changes: Mapping[Change, tuple[str | None, str | None]]
    """What both have and say differently."""
    consequences: Mapping[Key | Change, frozenset[Key | Change]] = field(default_factory=dict)
    """What was folded into each of these."""


_OF_ITSELF = ("comment", "index-comment", "column-comments", "owner", "privileges", "kind")
"""Facets that follow from nothing else."""


def fold(left: Catalog, right: Catalog, given: Candidates) -> Candidates:
    """Return *given* without what follows from the rest of it."""
    return _Folding(left, right, given).done()


class _Folding:
    def __init__(self, left: Catalog, right: Catalog, given: Candidates) -> None:
        self.sides = ((left, given.only_left), (right, given.only_right))
        self.changes = given.changes
        self.retyped = {
            change.key for change in given.changes if change.facet in ("type", "collation")
        }
        self.of_another_kind = {change.key for change in given.changes if change.facet == "kind"}
        self.consequences: dict[Key | Change, set[Key | Change]] = defaultdict(set)

    def done(self) -> Candidates:
        kept = {change: said for change, said in self.changes.items() if not self.folds(change)}
        only = [
            frozenset(key for key in keys if not self.folds_away(key, side, keys))
            for side, keys in self.sides
        ]
        told = {cause: frozenset(each) for cause, each in self.consequences.items()}
        return Candidates(only[0], only[1], kept, told)

    # -- what is on one side only -------------------------------------------------------------

    def folds_away(self, key: Key, side: Catalog, only: frozenset[Key]) -> bool:
        cause = self.cause_of(key, side, only)
        if cause is None:
            return False
        self.consequences[cause].add(key)
        return True

    def cause_of(self, key: Key, side: Catalog, only: frozenset[Key]) -> Key | Change | None:
        seen = {key}
        while True:
            found = side[key]
            kind = self.kind_above(found, side)
            if kind is not None:
                return kind
            owner = _owner_of(found)
            if owner is not None and Change(owner, "value") in self.changes:
                return Change(owner, "value")
            above = [each for each in _causes(found, side) if each in only and each not in seen]
            if not above:
                return key if len(seen) > 1 else None
            key = above[0]
            seen.add(key)

    def kind_above(self, found: SchemaObject, side: Catalog) -> Change | None:
        parent = found.parent
        while parent is not None and parent in side:
            if parent in self.of_another_kind:
                return Change(parent, "kind")
            parent = side[parent].parent
        return None

    # -- what both sides have -----------------------------------------------------------------

    def folds(self, change: Change) -> bool:
        cause = self.cause_of_change(change)
        if cause is None:
            return False
        self.consequences[cause].add(change)
        return True

    def cause_of_change(self, change: Change) -> Key | Change | None:
        key, facet = change
        found = self.sides[0][0][key]
        if key in self.of_another_kind:
            return None if facet == "kind" else Change(key, "kind")
        kind = self.kind_above(found, self.sides[0][0])
        if kind is not None:
            return kind
        for origin in sorted(found.origins):
            if self.changes.get(Change(origin, facet)) == self.changes[change]:
                return Change(origin, facet)
        if facet == "owner":
            return self.follows_table(change)
        if facet in _OF_ITSELF:
            return None
        return (
            self.mentions_one_sided(change)
            or self.follows_owner(change)
            or self.follows_type(change)
        )

    def mentions_one_sided(self, change: Change) -> Key | None:
        """Return what *change* names that only one side has."""
        for (side, only), said in zip(self.sides, self.changes[change], strict=True):
            found = side[change.key]
            # A table does not depend on the index that its replica identity names.
            near = [*_causes(found, side), *(each.key for each in side.below(change.key))]
            for each in near:
                if said is not None and each in only and _names(said, side[each].name):
                    cause = self.cause_of(each, side, only)
                    return cause if isinstance(cause, Key) else each
        return None

    def follows_owner(self, change: Change) -> Change | None:
        """Return the change of the column that owns the sequence."""
        left = self.sides[0][0]
        owner = _owner_of(left[change.key]) or _owner_of(self.sides[1][0][change.key])
        if owner is None:
            return None
        if Change(owner, "value") in self.changes and change.facet == "owned-by":
            return Change(owner, "value")
        if owner in self.retyped and change.facet in ("type", "minimum", "maximum"):
            return Change(owner, "type")
        return None

    def follows_table(self, change: Change) -> Change | None:
        """Return the other owner of the table to whose column the sequence belongs."""
        left = self.sides[0][0]
        column = _owner_of(left[change.key])
        table = left[column].parent if column is not None and column in left else None
        same = Change(table, "owner") if table is not None else None
        return same if same and self.changes.get(same) == self.changes[change] else None

    def follows_type(self, change: Change) -> Change | None:
        """Return the other type or collation that alone lets the server write other casts."""
        if change.facet in ("type", "collation"):
            return None
        near = [change.key, *(_causes(self.sides[0][0][change.key], self.sides[0][0]))]
        retyped = [each for each in near if each in self.retyped]
        first, second = self.changes[change]
        if not retyped or first is None or second is None:
            return None
        if _without_casts(first) != _without_casts(second):
            return None
        is_type = Change(retyped[0], "type") in self.changes
        return Change(retyped[0], "type" if is_type else "collation")


def _causes(found: SchemaObject, side: Catalog) -> list[Key]:
    """Return what *found* can't be without.

    A serial column and its sequence need each other; there, the column comes first.
    """
    above = [found.parent] if found.parent is not None else []
    return [*above, *sorted(each for each in found.needs if not _is_owned(each, found.key, side))]


def _is_owned(sequence: Key, column: Key, side: Catalog) -> bool:
    return sequence in side and _owner_of(side[sequence]) == column


def _owner_of(found: SchemaObject) -> Key | None:
    owner = found.facets.get("owned-by")
    return Key("column", owner) if owner is not None and found.label == "sequence" else None


def _names(text: str, name: str) -> bool:
    return re.search(rf'(?<![\w"]){re.escape(name)}(?![\w"])', text) is not None


_WORD = r'(?:"(?:[^"]|"")*"|[\w.])+'
_TYPE = (
    rf"(?:character varying|double precision|bit varying|(?:timestamp|time) with(?:out)? time zone"
    rf"|{_WORD})(?:\([\d, ]+\))?(?:\[\])*"
)
_CAST = re.compile(rf"::{_TYPE}|\s+COLLATE\s+{_WORD}")


def _without_casts(text: str) -> str:
    """Return *text* without casts, collations, and the parentheses and quotes that they need."""
    bare = _CAST.sub("", text)
    return re.sub(r"[()'\s]", "", bare)
