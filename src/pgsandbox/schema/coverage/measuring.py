"""Brings together what there is in a schema and what the tests of a run have done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pgsandbox.schema.coverage.data import ARRANGED, NO, UNKNOWN, YES, Coverage, Part
from pgsandbox.schema.coverage.inventory import (
    Column,
    Constraint,
    Inventory,
    Trigger,
    inventory_of,
)
from pgsandbox.schema.coverage.reading import Reader, Touched

_OF_APPLICATION = 1
_NAMES = {
    "c": "check",
    "x": "exclusion",
    "u": "unique",
    "p": "primary key",
    "f": "foreign key",
}
_ACTIONS = {"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_EVENTS = {4: "inserted", 8: "deleted", 16: "updated"}
"""The events of a trigger, by their bits (``pg_trigger.h``)."""


@dataclass
class Observed:
    """What was seen of the tests; each name with its schema before it."""

    statements: dict[str, int] = field(default_factory=dict)
    """Each statement with who sent it: 1 the application, 2 the tests' own session, 3 both."""
    values: set[tuple[str, int, str]] = field(default_factory=set)
    """Enum values that a parameter had: the statement, the parameter's number from 0, the value."""
    refused: set[tuple[str, ...]] = field(default_factory=set)
    """SQLSTATE, schema, table, column and constraint of each refusal."""
    counted: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """The tables of which rows were ``inserted``, ``updated`` or ``deleted``, or ``scanned``."""
    calls: set[str] = field(default_factory=set)
    """The functions that ran."""
    fired: set[tuple[str, ...]] = field(default_factory=set)
    """Schema, table, constraint and event of each action of a foreign key."""
    labels: set[tuple[str, str]] = field(default_factory=set)
    """The enum values that stood in rows, with their types."""
    notes: list[str] = field(default_factory=list)
    """What could not be seen."""


def measure(connection: Any, observed: Observed) -> Coverage:
    """Return what of the schema that *connection* has was touched.

    *connection* is a driver's, in autocommit; nothing is left of what is asked.
    """
    inventory = inventory_of(connection)
    coverage = Coverage(statements=len(observed.statements), notes=list(observed.notes))
    reader = Reader(connection, inventory.views)
    touched = {_OF_APPLICATION: Touched(), ARRANGED_BIT: Touched()}
    types: dict[str, tuple[str, ...]] = {}
    for statement, by in observed.statements.items():
        try:
            found = reader.touched(statement)
        except Exception as error:  # noqa: BLE001 - the driver's own, of whatever class
            coverage.opaque[statement] = str(error).strip().partition("\n")[0]
            continue
        types[statement] = found.parameters
        for bit, sum_ in touched.items():
            if by & bit:
                sum_.add(found)
    coverage.routines = _opaque_routines(connection, observed, touched)
    seen = _Seen(inventory, observed, touched, types)
    parts = seen.parts()
    coverage.parts = {each.key: each for each in parts}
    return coverage


ARRANGED_BIT = 2


def _opaque_routines(connection: Any, observed: Observed, touched: dict[int, Touched]) -> list[str]:
    """Return the functions that ran, or were named, whose bodies are text to the server."""
    named = set().union(*(each.functions for each in touched.values()))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.oid::int, p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l "
            "ON l.oid = p.prolang WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal') "
            "AND p.prosqlbody IS NULL"
        )
        found = cursor.fetchall()
    return sorted(name for oid, name in found if oid in named or name in observed.calls)


class _Seen:
    """Answers for each part whether it was touched."""

    def __init__(
        self,
        inventory: Inventory,
        observed: Observed,
        touched: dict[int, Touched],
        types: dict[str, tuple[str, ...]],
    ) -> None:
        self._inventory = inventory
        self._observed = observed
        self._touched = touched
        self._types = types
        self._refused = {(each[1], each[4]) for each in observed.refused if each[4]}
        self._nulls = {each[1:4] for each in observed.refused if each[0] == "23502"}
        self._written = {each for what in ("inserted", "updated") for each in self._counted(what)}

    def parts(self) -> list[Part]:
        """Return every part of the schema, with its points."""
        return [
            *self._relations(),
            *self._columns(),
            *self._constraints(),
            *self._indexes(),
            *self._triggers(),
            *self._enum_values(),
        ]

    def _counted(self, what: str) -> set[tuple[str, str]]:
        return self._observed.counted.get(what, set())

    def _state(self, name: str, item: Any) -> str:
        """Whether the set *name* of what was touched has *item*, and by whom."""
        if item in getattr(self._touched[_OF_APPLICATION], name):
            return YES
        return ARRANGED if item in getattr(self._touched[ARRANGED_BIT], name) else NO

    def _shown(self, oid: int) -> str:
        return self._inventory.relations[oid].shown

    def _relations(self) -> Iterator[Part]:
        for each in self._inventory.relations.values():
            read = self._state("read", each.oid)
            if not each.is_table:
                yield Part("view", each.shown, each.shown, points={"read": read})
                continue
            written = self._state("written", each.oid)
            if written == NO and (each.schema, each.name) in self._written:
                written = YES
            points = {"written": written, "read": read}
            yield Part("table", each.shown, each.shown, points=points)

    def _column_state(self, name: str, column: Column) -> str:
        states = {
            self._state(name, (column.table, column.number)),
            self._state(name, (column.table, 0)),
        }
        return YES if YES in states else ARRANGED if ARRANGED in states else NO

    def _columns(self) -> Iterator[Part]:
        for each in self._inventory.columns:
            relation = self._inventory.relations[each.table]
            read = self._column_state("columns_read", each)
            given = self._column_state("columns_written", each)
            default = f" DEFAULT {each.default}" if each.default else ""
            detail = f"{each.type}{' NOT NULL' if each.is_not_null else ''}{default}"
            points = {"read": read}
            is_numbered = each.is_identity or "nextval(" in (each.default or "")
            if not each.is_generated and not is_numbered:
                if not (each.is_not_null and each.default):
                    points = {"written": given, **points}
                else:
                    if (relation.schema, relation.name, each.name) in self._nulls:
                        given = YES
                    yield Part("not null", relation.shown, each.name, detail, {"given": given})
            yield Part("column", relation.shown, each.name, detail, points)

    def _constraints(self) -> Iterator[Part]:
        for each in self._inventory.constraints:
            relation = self._inventory.relations[each.table]
            if each.kind == "p" and self._is_surrogate(each):
                continue
            is_refused = (relation.schema, each.name) in self._refused
            points = {"refused": YES if is_refused else NO}
            kind = _NAMES[each.kind]
            yield Part(kind, relation.shown, each.name, each.definition, points)
            yield from self._actions(each)
        for index in self._inventory.indexes:
            if index.is_unique and not index.is_of_constraint:
                relation = self._inventory.relations[index.table]
                is_refused = (relation.schema, index.name) in self._refused
                points = {"refused": YES if is_refused else NO}
                yield Part("unique", relation.shown, index.name, index.definition, points)

    def _is_surrogate(self, key: Constraint) -> bool:
        """Whether a primary key is one that nobody chooses: a number, or a random UUID."""
        columns = [
            each
            for each in self._inventory.columns
            if each.table == key.table and each.number in key.columns
        ]
        return len(columns) == 1 and (
            columns[0].is_identity
            or columns[0].default is not None
            or columns[0].type in ("uuid", "bigint", "integer")
        )

    def _actions(self, key: Constraint) -> Iterator[Part]:
        relation = self._inventory.relations[key.table]
        for event, action in (("delete", key.on_delete), ("update", key.on_update)):
            if key.kind != "f" or action not in _ACTIONS:
                continue
            state = NO
            parent = self._inventory.relations.get(key.parent)
            if (relation.schema, relation.name, key.name, event) in self._observed.fired:
                state = YES
            elif (
                key.parent == key.table
                and parent is not None
                and (parent.schema, parent.name) in self._counted(f"{event}d")
            ):
                state = UNKNOWN
            words = f"ON {event.upper()} {_ACTIONS[action]}"
            yield Part(
                "action", relation.shown, f"{key.name} {words}", key.definition, {"fired": state}
            )

    def _indexes(self) -> Iterator[Part]:
        planned = set().union(*(each.indexes for each in self._touched.values()))
        keys = [each for each in self._inventory.constraints if each.kind == "f"]
        for each in self._inventory.indexes:
            if each.is_of_constraint or each.is_unique:
                continue
            relation = self._inventory.relations[each.table]
            is_scanned = (relation.schema, each.name) in self._counted("scanned")
            serves = any(
                key.table == each.table
                and each.columns[: len(key.columns)] == key.columns
                and self._was_deleted_from(key.parent)
                for key in keys
            )
            is_used = is_scanned or serves or each.name in planned
            points = {"used": YES if is_used else NO}
            yield Part("index", relation.shown, each.name, each.definition, points)

    def _was_deleted_from(self, table: int) -> bool:
        relation = self._inventory.relations.get(table)
        return relation is not None and (relation.schema, relation.name) in self._counted("deleted")

    def _triggers(self) -> Iterator[Part]:
        functions = [each.function for each in self._inventory.triggers]
        for each in self._inventory.triggers:
            relation = self._inventory.relations[each.table]
            is_alone = functions.count(each.function) == 1
            points = {"fired": self._fired(each, is_alone=is_alone)}
            yield Part("trigger", relation.shown, each.name, each.definition, points)

    def _fired(self, trigger: Trigger, *, is_alone: bool) -> str:
        relation = self._inventory.relations[trigger.table]
        name = (relation.schema, relation.name)
        has_event = any(
            trigger.type & bit and name in self._counted(what) for bit, what in _EVENTS.items()
        )
        is_called = trigger.function in self._observed.calls
        if has_event and not trigger.is_conditional:
            return YES
        if is_called and (is_alone or has_event):
            return YES if is_alone else UNKNOWN
        if has_event and not trigger.is_counted:
            return UNKNOWN
        return NO

    def _enum_values(self) -> Iterator[Part]:
        constants = set().union(*(each.constants for each in self._touched.values()))
        bound = {
            (types[number], label)
            for statement, number, label in self._observed.values
            if number < len(types := self._types.get(statement, ()))
        }
        for each in self._inventory.enum_values:
            named = (each.shown, each.label)
            is_seen = (
                (each.type, each.oid) in constants or named in bound
            ) or named in self._observed.labels
            points = {"seen": YES if is_seen else NO}
            yield Part("enum value", each.shown, each.label, "", points)
