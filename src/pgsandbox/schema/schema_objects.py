"""What a catalog says of a schema, as plain data that two databases can be compared by.

No OID, no attribute number and no age is in it: they differ between databases that are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple


class Key(NamedTuple):
    """What two databases call the same thing by."""

    kind: str
    """``relation``, ``column``, ``constraint``, ``index``: what shares a space of names."""
    identity: str
    """Its qualified name, quoted as in SQL; what belongs to a table is named below it."""


@dataclass(frozen=True)
class SchemaObject:
    """One object of a schema: its name and everything that can be said of it."""

    key: Key
    """What it is called."""
    name: str
    """The last part of its name, quoted as in SQL."""
    label: str
    """What people call such a thing: ``table``, ``unique``, ``enum``."""
    facets: Mapping[str, str]
    """What can differ, in the server's own words; what is not there has not been said."""
    create: str = ""
    """The statement that makes it, where the server writes one."""
    parent: Key | None = None
    """What it is a part of, and can't be without."""
    needs: frozenset[Key] = frozenset()
    """What it depends on (``pg_depend``)."""
    origins: frozenset[Key] = frozenset()
    """Of what it inherits: the same columns of the parent tables."""
    position: int = 0
    """The place of a column among the others, counted from 1."""


@dataclass(frozen=True)
class Catalog:
    """The schema of one database."""

    objects: Mapping[Key, SchemaObject]
    """Everything that is the project's own: nothing of the system's, nothing of extensions."""

    def __getitem__(self, key: Key) -> SchemaObject:
        """The object of that name."""
        return self.objects[key]

    def __contains__(self, key: object) -> bool:
        """Whether there is one of that name."""
        return key in self.objects

    def __iter__(self) -> Iterator[Key]:
        """All names."""
        return iter(self.objects)

    def below(self, key: Key) -> Iterator[SchemaObject]:
        """What is a part of *key* itself."""
        return iter(self._parts.get(key, ()))

    @cached_property
    def _parts(self) -> dict[Key, list[SchemaObject]]:
        parts: dict[Key, list[SchemaObject]] = {}
        for each in self.objects.values():
            if each.parent is not None:
                parts.setdefault(each.parent, []).append(each)
        return parts

    def without(self, tables: frozenset[str]) -> Catalog:
        """The same schema without these tables and whatever belongs to them."""
        gone = {Key("relation", name) for name in tables}
        while True:
            more = {
                each.key
                for each in self.objects.values()
                if each.key not in gone and each.parent in gone
            }
            if not more:
                break
            gone |= more
        kept = {key: each for key, each in self.objects.items() if key not in gone}
        return Catalog(MappingProxyType(kept))
