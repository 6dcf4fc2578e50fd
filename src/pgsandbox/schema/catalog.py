"""Reads what a database's catalog says of its schema.

Every definition is the server's own, deparsed with one set of parameters: what two people wrote
differently and the server understands alike reads alike.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pgsandbox.schema.deparsed import cast_by_element, end_of, parts
from pgsandbox.schema.queries import COMMENTS, DEPENDENCIES, MEMBERS_OF_EXTENSIONS, STAND_INS
from pgsandbox.schema.queries_of_databases import OF_DATABASES, OF_SCHEMAS
from pgsandbox.schema.queries_of_tables import OF_TABLES
from pgsandbox.schema.queries_of_types import OF_TYPES
from pgsandbox.schema.schema_objects import Catalog, Key, SchemaObject

Address = tuple[str, int, int]
"""What ``pg_depend`` knows an object by: catalog, OID, sub-id."""

_EVERYTHING = (*OF_SCHEMAS, *OF_TABLES, *OF_TYPES, *OF_DATABASES)
"""Every query for objects, those that others are parts of first."""

# With an empty search path every name is qualified; the others decide how constants are written.
_PARAMETERS = {
    "search_path": "",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "xmloption": "content",
}


def read_catalog(connection: Connection) -> Catalog:
    """Return the schema of the database that *connection* goes to.

    It is read in the connection's open transaction, or in one of its own that is rolled back. An
    open one is left as it was.
    """
    with _reading_in(connection) as cursor:
        members = {
            (cls, oid): extension for cls, oid, extension in _rows(cursor, MEMBERS_OF_EXTENSIONS)
        }
        comments = {(cls, oid, sub): text for cls, oid, sub, text in _rows(cursor, COMMENTS)}
        found: dict[Key, SchemaObject] = {}
        addresses: dict[Address, Key] = {}
        for query in _EVERYTHING:
            for row in _rows(cursor, query):
                address: Address = row[:3]
                made = None if row[:2] in members else _object(row, comments.get(address))
                # What belongs to an extension's table is not the project's either.
                if made is not None and (made.parent is None or made.parent in found):
                    found[made.key] = made
                    addresses[address] = made.key
        needs = _needs(cursor, addresses, members)
    return Catalog(
        MappingProxyType(
            {
                key: replace(each, needs=(needs.get(key, _NOTHING) | each.origins) - {key})
                for key, each in found.items()
            }
        )
    )


_NOTHING: frozenset[Key] = frozenset()


@contextlib.contextmanager
def _reading_in(connection: Connection) -> Iterator[Cursor]:
    """Give a cursor of *connection* that asks as `read_catalog` says."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN" if connection.autocommit else "SAVEPOINT pgsandbox_catalog")
        try:
            cursor.execute(
                "select set_config(key, value, true) from json_each_text(%s)",
                (json.dumps(_PARAMETERS),),
            )
            yield cursor
        finally:
            if connection.autocommit:
                cursor.execute("ROLLBACK")
            else:
                cursor.execute("ROLLBACK TO SAVEPOINT pgsandbox_catalog")
                cursor.execute("RELEASE SAVEPOINT pgsandbox_catalog")


def _rows(cursor: Cursor, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return cursor.fetchall()


def _object(row: tuple[Any, ...], comment: str | None) -> SchemaObject:
    _, _, _, kind, identity, name, label, parent_kind, parent, create, origins, place, said = row
    facets = {
        facet: cast_by_element(value) if facet not in _AS_WRITTEN else value
        for facet, value in sorted(said.items())
        if value not in (None, "")
    }
    if comment is not None:
        facets["comment"] = comment
    return SchemaObject(
        key=Key(kind, identity),
        name=name,
        label=label,
        facets=MappingProxyType(_REFINED.get(kind, _as_it_is)(facets, name)),
        create=create or "",
        parent=Key(parent_kind, parent) if parent_kind else None,
        origins=frozenset(Key(kind, each) for each in origins or ()),
        position=place,
    )


_AS_WRITTEN = ("body", "index-comment", "column-comments")


def _needs(
    cursor: Cursor, addresses: Mapping[Address, Key], members: Mapping[tuple[str, int], int]
) -> dict[Key, frozenset[Key]]:
    stands_for = {member: ("pg_extension", oid, 0) for member, oid in members.items()} | {
        (cls, oid): (other, target, sub)
        for cls, oid, other, target, sub in _rows(cursor, STAND_INS)
    }

    def key_of(address: Address) -> Key | None:
        while address not in addresses:
            if address[:2] in stands_for and stands_for[address[:2]] != address:
                address = stands_for[address[:2]]
            elif address[2]:
                address = (*address[:2], 0)
            else:
                return None
        return addresses[address]

    needs: dict[Key, set[Key]] = defaultdict(set)
    for cls, oid, sub, other, target, target_sub in _rows(cursor, DEPENDENCIES):
        dependent, needed = key_of((cls, oid, sub)), key_of((other, target, target_sub))
        if dependent is not None and needed is not None and dependent != needed:
            needs[dependent].add(needed)
    return {key: frozenset(each) for key, each in needs.items()}


# -- one facet for each thing that can differ alone ---------------------------------------------


def _as_it_is(facets: dict[str, str], _: str) -> dict[str, str]:
    return facets


_ENDS_OF_A_CONSTRAINT = (
    (" NOT VALID", "validity", "not valid"),
    (" NOT ENFORCED", "enforcement", "not enforced"),
    (" INITIALLY DEFERRED", "deferrability", "initially deferred"),
    (" DEFERRABLE", "deferrability", "deferrable"),
    (" NO INHERIT", "inheritance", "no inherit"),
)


def _constraint(facets: dict[str, str], _: str) -> dict[str, str]:
    """Split the definition from what the server writes behind it (ruleutils.c)."""
    definition = facets["definition"]
    for end, facet, value in _ENDS_OF_A_CONSTRAINT:
        if definition.endswith(end):
            definition = definition.removesuffix(end)
            facets[facet] = f"{value}, {facets[facet]}" if facet in facets else value
    return facets | {"definition": definition}


def _index(facets: dict[str, str], _: str) -> dict[str, str]:
    definition = facets.pop("definition")
    start = definition.index("(", definition.index(f" USING {facets['method']} "))
    return facets | {"keys": definition[start + 1 : end_of(definition, start)]}


def _named(facets: dict[str, str], name: str) -> dict[str, str]:
    """Take the object's own name, the first one behind CREATE, out of its definition."""
    return facets | {"definition": facets["definition"].replace(f" {name} ", " ", 1)}


def _trigger(facets: dict[str, str], name: str) -> dict[str, str]:
    """Name the columns after UPDATE OF in one order, since theirs means nothing."""
    definition = _named(facets, name)["definition"]
    columns = re.search(r" UPDATE OF (.+?) ON ", definition)
    if columns:
        ordered = ", ".join(sorted(parts(columns[1])))
        definition = f"{definition[: columns.start(1)]}{ordered}{definition[columns.end(1) :]}"
    return facets | {"definition": definition}


def _statistics(facets: dict[str, str], _: str) -> dict[str, str]:
    definition = facets["definition"]
    return facets | {"definition": re.sub(r"^CREATE STATISTICS \S+ ", "", definition)}


def _routine(facets: dict[str, str], _: str) -> dict[str, str]:
    """Take out of the body what its place in somebody's source file gave it: the indentation."""
    if "body" in facets:
        lines = inspect.cleandoc(facets["body"]).splitlines()
        facets["body"] = "\n".join(line.rstrip() for line in lines)
    return facets


_REFINED = {
    "constraint": _constraint,
    "index": _index,
    "trigger": _trigger,
    "rule": _named,
    "statistics": _statistics,
    "routine": _routine,
}
