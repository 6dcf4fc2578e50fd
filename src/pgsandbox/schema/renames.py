"""Pairs what two schemas call by different names and is alike in everything else."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from pgsandbox.schema.schema_objects import Catalog, Key, SchemaObject

_IN_THIS_ORDER = (
    "schema",
    "type",
    "routine",
    "relation",
    "column",
    "constraint",
    "index",
    "sequence",
    "trigger",
    "rule",
    "policy",
    "statistics",
    "collation",
)
_OF_A_TABLE = ("constraint", "index", "trigger", "rule", "policy", "statistics")
"""Kinds that are told apart by what they do: of two alike, either can be paired."""
_SEPARATE = ("comment", "owner", "privileges")
"""What may differ besides the name; each is a difference of its own."""


@dataclass(frozen=True)
class Rename:
    """One object under two names."""

    first: SchemaObject
    """The object in the first schema."""
    second: SchemaObject
    """The object in the second schema."""


def paired(left: Catalog, right: Catalog) -> tuple[Catalog, list[Rename]]:
    """Return *left* with the names of *right* wherever only the name differs, and those pairs.

    What depends on something renamed is written with the new name, too.
    """
    renames: list[Rename] = []
    for kind in _IN_THIS_ORDER:
        pairs = _pairs(kind, left, right)
        inherited = {each.first.key for each in pairs}
        renames += [each for each in pairs if not each.first.origins & inherited]
        if kind in _OF_A_TABLE:
            left = _with_other_parts(left, pairs)
        else:
            for rename in pairs:
                left = _renamed(left, rename)
    return left, renames


def _pairs(kind: str, left: Catalog, right: Catalog) -> list[Rename]:
    # A copy: by the time of the second pair the catalog holds the first one's new name.
    first = _alike_by_signature(kind, left, right)
    second = _alike_by_signature(kind, right, left)
    pairs = []
    for signature, ours in first.items():
        theirs = second.get(signature, [])
        is_unique = len(ours) == len(theirs) == 1
        if is_unique or (theirs and kind in _OF_A_TABLE):
            pairs += [Rename(*both) for both in zip(ours, theirs, strict=False)]
    return pairs


def _alike_by_signature(kind: str, side: Catalog, other: Catalog) -> dict[Any, list[SchemaObject]]:
    found: dict[Any, list[SchemaObject]] = defaultdict(list)
    for key in sorted(key for key in side if key.kind == kind and key not in other):
        each = side[key]
        if each.parent is None or each.parent in other:
            signature = _signature(each, side)
            if signature is not None:
                found[signature].append(each)
    return found


def _signature(found: SchemaObject, side: Catalog) -> Any:
    """Return everything but the name, or None if that is too little to know an object by."""
    below = sorted(
        (each.label, each.name, each.facets.get("type", ""))
        for each in side.below(found.key)
        if each.label == "column"
        or (found.label == "schema" and each.key.kind not in _NAMED_AFTER_OTHERS)
    )
    if found.label in ("schema", "table") and not below:
        return None
    if found.label == "schema":
        return found.label, tuple((label, name) for label, name, _ in below)
    facets = {
        name: re.sub(_word(found.name), "?", said)
        for name, said in found.facets.items()
        if name not in _SEPARATE
    }
    place = found.position if found.label == "column" else 0
    arguments = found.key.identity.rpartition("(")[2] if found.key.kind == "routine" else ""
    return found.label, found.parent, place, arguments, tuple(sorted(facets.items())), tuple(below)


def _with_other_parts(catalog: Catalog, renames: list[Rename]) -> Catalog:
    """Return *catalog* after *renames* of what nothing is part of, all at once.

    With other conventions for names, every constraint of a large schema has another one.
    """
    new = {each.first.key: each.second for each in renames}
    in_tables: dict[Key | None, list[Rename]] = defaultdict(list)
    for each in renames:
        in_tables[each.first.parent].append(each)
    objects = {}
    for key, found in catalog.objects.items():
        facets = dict(found.facets)
        for each in in_tables.get(key, ()) if "replica-identity" in facets else ():
            wherever = _Wherever(each.first, each.second)
            facets["replica-identity"] = wherever.replaced(facets["replica-identity"])
        to = new.get(key, found)
        objects[to.key] = replace(
            found,
            key=to.key,
            name=to.name,
            facets=MappingProxyType(facets),
            needs=frozenset(new[need].key if need in new else need for need in found.needs),
        )
    return Catalog(MappingProxyType(objects))


def _renamed(catalog: Catalog, rename: Rename) -> Catalog:
    old, new = rename.first, rename.second
    wherever = _Wherever(old, new)

    def key_of(key: Key) -> Key:
        if key == old.key:
            return new.key
        if key.identity.startswith(f"{old.key.identity}."):
            return Key(key.kind, new.key.identity + key.identity[len(old.key.identity) :])
        if key.kind in _NAMED_AFTER_OTHERS:
            return Key(key.kind, wherever.replaced(key.identity))
        return key

    objects = {}
    for key, each in catalog.objects.items():
        near = {key, *each.needs}
        is_touched = old.parent == key or any(key_of(one) != one for one in near)
        facets = {
            name: wherever.replaced(said) if is_touched and name not in _SEPARATE else said
            for name, said in each.facets.items()
        }
        objects[key_of(key)] = replace(
            each,
            key=key_of(key),
            name=new.name if key == old.key else each.name,
            facets=MappingProxyType(facets),
            parent=key_of(each.parent) if each.parent else None,
            needs=frozenset(key_of(need) for need in each.needs),
            origins=frozenset(key_of(origin) for origin in each.origins),
        )
    return Catalog(MappingProxyType(objects))


_NAMED_AFTER_OTHERS = ("routine", "operator", "cast", "default privileges")
_ALWAYS_QUALIFIED = ("type", "routine", "sequence", "collation")


class _Wherever:
    """Replaces a name in the server's texts."""

    def __init__(self, old: SchemaObject, new: SchemaObject) -> None:
        kind = old.key.kind
        if kind == "schema":
            self.pattern = rf'(?<![\w"]){re.escape(old.name)}(?=\.)|(?<= in ){re.escape(old.name)}$'
            self.name = new.name
        elif kind in _ALWAYS_QUALIFIED:
            before, self.name = (each.key.identity.partition("(")[0] for each in (old, new))
            self.pattern = rf'(?<![\w"]){re.escape(before)}(?![\w"])'
        else:
            self.pattern = _word(old.name)
            self.name = new.name

    def replaced(self, text: str) -> str:
        return re.sub(self.pattern, lambda _: self.name, text)


def _word(name: str) -> str:
    """Return a pattern for *name* as a word of its own that is no cast."""
    return rf'(?<![\w":]){re.escape(name)}(?![\w"])'
