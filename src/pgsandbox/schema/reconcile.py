"""Says which statement makes the migrated database what the models say, where that loses nothing.

A statement is safe here if it can't destroy rows, values or rules that the models want: it adds,
renames, widens, or puts the models' definition in the place of another one. It may fail on rows
that contradict it, and then changes nothing. What would have to drop a table, a column or a rule
has no statement: a person decides that.
"""

from __future__ import annotations

import re

from pgsandbox.schema.compare import Difference
from pgsandbox.schema.schema_objects import Catalog, Key, SchemaObject


def statement_for(difference: Difference, right: Catalog) -> str | None:
    """Return the SQL that reconciles *difference* in *right*, the second schema, or None."""
    match difference.facet:
        case "missing":
            return _made_with_parts(difference, right)
        case "type" if _is_read(difference.key, right):
            return None  # the server refuses while a view reads the column
        case "unexpected":
            return _dropped(difference.second)
        case "name":
            return _renamed(difference)
        case "comment":
            return _commented(difference)
        case _:
            return _altered(difference)


def _is_read(key: Key, right: Catalog) -> bool:
    return any(
        key in each.needs and ("view" in each.label or each.label in ("rule", "trigger", "policy"))
        for each in right.objects.values()
    )


def _made_with_parts(difference: Difference, right: Catalog) -> str | None:
    """Return what makes the object and what is missing because it is, as far as it can be said."""
    first = _made(difference.first)
    if first is None:
        return None
    statements, there = [first], {*right, difference.key}
    waiting = list(difference.missing_with_it)
    while ready := [each for each in waiting if _can_be_made(each, there)]:
        statements += filter(None, map(_made, ready))
        there |= {each.key for each in ready if _made(each)}
        waiting = [each for each in waiting if each not in ready]
    return ";\n".join(statements)


def _can_be_made(found: SchemaObject, there: set[Key]) -> bool:
    return found.needs <= there and (found.parent is None or found.parent in there)


def _made(found: SchemaObject | None) -> str | None:
    if found is None:
        return None
    if found.label == "column":
        facets = found.facets
        required = "nullability" in facets and "value" not in facets
        known = {"type", "nullability", "value", "collation", "privileges"}
        if required or set(facets) - known:
            return None  # rows that are there would have no value for it
        collation = f"COLLATE {facets['collation']}" if "collation" in facets else ""
        return _words(
            f"ALTER TABLE {_above(found)} ADD COLUMN {found.name} {facets['type']}",
            collation,
            _value(facets.get("value")),
            facets.get("nullability", "").upper(),
        )
    return found.create or None


def _value(value: str | None) -> str:
    if value is None:
        return ""
    return value.upper() if value.endswith("as identity") else _generated(value)


def _generated(value: str) -> str:
    return value if value.startswith("generated always as (") else f"DEFAULT {value}"


def _dropped(found: SchemaObject | None) -> str | None:
    """Return what drops *found* if it is nothing but a faster way to what is there."""
    if found is None or "uniqueness" in found.facets:
        return None
    if found.label == "index":
        return f"DROP INDEX {_beside(found)}"
    if found.label == "statistics":
        return f"DROP STATISTICS {found.key.identity}"
    return None


def _renamed(difference: Difference) -> str | None:  # noqa: PLR0911 - one for each spelling
    first, second = difference.first, difference.second
    if first is None or second is None:
        return None
    to = f"RENAME TO {first.name}"
    match second.key.kind:
        case "column":
            return f"ALTER TABLE {_above(second)} RENAME COLUMN {second.name} TO {first.name}"
        case "constraint":
            of = "DOMAIN" if second.label == "domain check" else "TABLE"
            return f"ALTER {of} {_above(second)} RENAME CONSTRAINT {second.name} TO {first.name}"
        case "trigger" | "rule" | "policy":
            kind = second.key.kind.upper()
            return f"ALTER {kind} {second.name} ON {_above(second)} {to}"
        case "index":
            return f"ALTER INDEX {_beside(second)} {to}"
        case "relation" | "routine" | "schema" | "sequence" | "statistics" | "collation":
            return f"ALTER {second.label.upper()} {second.key.identity} {to}"
        case "type":
            of = "DOMAIN" if second.label == "domain" else "TYPE"
            return f"ALTER {of} {second.key.identity} {to}"
        case _:
            return None


def _commented(difference: Difference) -> str | None:
    found = difference.second
    if found is None:
        return None
    text = "NULL" if difference.left is None else _literal(difference.left)
    name = found.key.identity
    match found.key.kind:
        case "constraint":
            domain = "DOMAIN " if found.label == "domain check" else ""
            name = f"CONSTRAINT {found.name} ON {domain}{_above(found)}"
        case "trigger" | "rule" | "policy":
            name = f"{found.key.kind.upper()} {found.name} ON {_above(found)}"
        case "index":
            name = f"INDEX {_beside(found)}"
        case "type":
            name = f"{'DOMAIN' if found.label == 'domain' else 'TYPE'} {name}"
        case "relation" | "column" | "routine" | "sequence" | "schema" | "statistics" | "extension":
            name = f"{found.label.upper()} {name}"
        case _:
            return None
    return f"COMMENT ON {name} IS {text}"


def _altered(difference: Difference) -> str | None:  # noqa: C901, PLR0911 - a table of kinds
    first, second = difference.first, difference.second
    if first is None or second is None:
        return None
    match second.key.kind:
        case "column":
            return _column(difference, first)
        case "constraint":
            return _constraint(difference, first, second)
        case "index":
            replaceable = "uniqueness" not in second.facets or "uniqueness" in first.facets
            is_made_by_it = difference.facet not in ("validity", "clustering", "statistics-target")
            if replaceable and is_made_by_it:
                return f"DROP INDEX {_beside(second)};\n{first.create}"
        case "type" if difference.facet == "values":
            return _labels(difference)
        case "routine" if difference.facet in _REPLACED_WITH_A_ROUTINE:
            return first.create or None
        case "trigger" if difference.facet == "definition" and "CONSTRAINT" not in first.create:
            return first.create.replace("CREATE ", "CREATE OR REPLACE ", 1)
        case "rule" if difference.facet == "definition":
            return first.create.replace("CREATE ", "CREATE OR REPLACE ", 1)
        case "relation" if second.label == "view" and difference.facet == "definition":
            return first.create.replace("CREATE ", "CREATE OR REPLACE ", 1)
        case "extension" if difference.facet == "version":
            return f"ALTER EXTENSION {second.name} UPDATE TO {_literal(difference.left or '')}"
        case "sequence" if difference.facet == "owned-by":
            return f"ALTER SEQUENCE {second.key.identity} OWNED BY {difference.left or 'NONE'}"
    return None


_REPLACED_WITH_A_ROUTINE = (
    "body",
    "volatility",
    "strictness",
    "security",
    "leakproof",
    "parallel",
    "cost",
    "rows",
    "settings",
    "support",
)


def _column(difference: Difference, first: SchemaObject) -> str | None:
    place = f"ALTER TABLE {_above(first)} ALTER COLUMN {first.name}"
    left, right = difference.left, difference.right
    match difference.facet:
        case "nullability" if left in (None, "not null") and right in (None, "not null"):
            return f"{place} {'DROP' if left is None else 'SET'} NOT NULL"
        case "value" if not any("generated " in (said or "") for said in (left, right)):
            return _default(difference, place)
        case "type" if left is not None and right is not None and _widens(right, left):
            return f"{place} TYPE {left}"
        case "storage" | "compression" if left is not None:
            return f"{place} SET {difference.facet.upper()} {left}"
        case "statistics-target":
            return f"{place} SET STATISTICS {left or -1}"
    return None


def _default(difference: Difference, place: str) -> str:
    if difference.left is None:
        return f"{place} DROP DEFAULT"
    sequences = [each for each in difference.missing_with_it if each.key.kind == "sequence"]
    owned = [
        f"ALTER SEQUENCE {each.key.identity} OWNED BY {each.facets['owned-by']}"
        for each in sequences
    ]
    made = [each.create for each in sequences]
    return ";\n".join([*made, f"{place} SET DEFAULT {difference.left}", *owned])


_WIDER = {
    ("smallint", "integer"),
    ("smallint", "bigint"),
    ("integer", "bigint"),
    ("real", "double precision"),
}


def _widens(old: str, new: str) -> bool:
    """Whether every value of the type *old* is one of *new*, and reads alike."""
    if (old, new) in _WIDER:
        return True
    sized = re.compile(r"character varying\((\d+)\)")
    before, after = sized.fullmatch(old), sized.fullmatch(new)
    if before is None:
        return False
    return new in ("text", "character varying") or (
        after is not None and int(after[1]) > int(before[1])
    )


def _constraint(difference: Difference, first: SchemaObject, second: SchemaObject) -> str | None:
    if second.label == "domain check" or second.label != first.label:
        return None
    table = f"ALTER TABLE {_above(second)}"
    if difference.facet == "validity" and difference.left is None:
        return f"{table} VALIDATE CONSTRAINT {second.name}"
    if second.label in ("check", "foreign key", "exclusion") and difference.facet in (
        "definition",
        "deferrability",
        "inheritance",
    ):
        added = first.create.partition(" ADD CONSTRAINT ")[2]
        return f"{table} DROP CONSTRAINT {second.name}, ADD CONSTRAINT {added}"
    return None


def _labels(difference: Difference) -> str | None:
    """Return what adds the values that are missing, if all others stand in the same order."""
    wanted, have = (_texts(said or "") for said in (difference.left, difference.right))
    if [each for each in wanted if each in have] != have or not have:
        return None
    name = difference.key.identity
    statements = []
    for index, label in enumerate(wanted):
        if label not in have:
            place = f"AFTER {wanted[index - 1]}" if index else f"BEFORE {have[0]}"
            statements.append(f"ALTER TYPE {name} ADD VALUE {label} {place}")
    return ";\n".join(statements)


def _texts(said: str) -> list[str]:
    return re.findall(r"'(?:[^']|'')*'", said)


def _above(found: SchemaObject) -> str:
    return found.parent.identity if found.parent else ""


def _beside(found: SchemaObject) -> str:
    """Return the name of an index, which stands beside its table and not below it."""
    table = _above(found)
    schema = re.match(r'(?:"(?:[^"]|"")*"|[^.]+)\.', table)
    return f"{schema[0] if schema else ''}{found.name}"


def _literal(text: str) -> str:
    """Return *text* as a literal of SQL, which no backslash changes."""
    return "'" + text.replace("'", "''") + "'"


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)
