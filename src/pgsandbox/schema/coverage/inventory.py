"""What a schema has that a test can touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_OURS = (
    "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass "
    "AND e.objid = c.oid AND e.deptype = 'e') AND c.relname <> 'alembic_version'"
)
"""Neither the server's own, nor an extension's, nor Alembic's."""
_RELATIONS = (
    "SELECT c.oid::int, n.nspname, c.relname, c.relkind, c.oid::regclass::text FROM pg_class c "
    f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm') "
    f"AND NOT c.relispartition AND {_OURS} ORDER BY 2, 3"
)
_COLUMNS = (
    "SELECT a.attrelid::int, a.attnum, a.attname, a.attnotnull, "
    "a.attgenerated <> '' OR a.attidentity = 'a', pg_get_expr(d.adbin, d.adrelid), "
    "a.attidentity <> '', format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
    "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
    "WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') "
    f"AND NOT c.relispartition AND {_OURS} ORDER BY 1, 2"
)
_CONSTRAINTS = (
    "SELECT k.conrelid::int, k.conname, k.contype, pg_get_constraintdef(k.oid), "
    "coalesce(k.conkey, '{}')::int[], k.confrelid::int, k.confdeltype, k.confupdtype, "
    "k.conindid::int FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0 "
    f"AND NOT c.relispartition AND {_OURS} ORDER BY 1, 2"
)
_INDEXES = (
    "SELECT i.indrelid::int, i.indexrelid::int, x.relname, i.indisunique, "
    "pg_get_indexdef(i.indexrelid), i.indkey::int[], EXISTS (SELECT 1 FROM pg_constraint k "
    "WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) FROM pg_index i "
    "JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE NOT c.relispartition AND c.relkind IN ('r', 'p', 'm') AND {_OURS} ORDER BY 1, 3"
)
_TRIGGERS = (
    "SELECT t.tgrelid::int, t.tgname, pg_get_triggerdef(t.oid), t.tgtype::int, "
    "t.tgfoid::regprocedure::text, t.tgqual IS NOT NULL OR t.tgattr <> ''::int2vector, "
    "l.lanname = 'plpgsql' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_proc p ON p.oid = t.tgfoid "
    "JOIN pg_language l ON l.oid = p.prolang WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' "
    f"AND t.tgparentid = 0 AND {_OURS} ORDER BY 1, 2"
)
_ENUMS = (
    "SELECT t.oid::int, t.oid::regtype::text, v.oid::bigint, v.enumlabel FROM pg_type t "
    "JOIN pg_enum v ON v.enumtypid = t.oid WHERE NOT EXISTS (SELECT 1 FROM pg_depend e "
    "WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e') "
    "ORDER BY 2, v.enumsortorder"
)
_VIEWS = (
    "SELECT r.ev_class::int, r.ev_action::text FROM pg_rewrite r JOIN pg_class c "
    "ON c.oid = r.ev_class WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384"
)


@dataclass(frozen=True)
class Relation:
    """A table or a view."""

    oid: int
    schema: str
    name: str
    kind: str
    """``pg_class.relkind``."""
    shown: str
    """Its name, with its schema where that is not on the search path."""

    @property
    def is_table(self) -> bool:
        """Whether rows are written to it."""
        return self.kind in ("r", "p")


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    table: int
    number: int
    name: str
    is_not_null: bool
    is_generated: bool
    """Whether nobody but the server gives it a value."""
    default: str | None
    is_identity: bool
    type: str


@dataclass(frozen=True)
class Constraint:
    """A constraint with a name of its own."""

    table: int
    name: str
    kind: str
    """``pg_constraint.contype``."""
    definition: str
    columns: list[int]
    parent: int
    """The table that a foreign key refers to."""
    on_delete: str
    on_update: str
    index: int


@dataclass(frozen=True)
class Index:
    """An index."""

    table: int
    oid: int
    name: str
    is_unique: bool
    definition: str
    columns: list[int]
    is_of_constraint: bool


@dataclass(frozen=True)
class Trigger:
    """A trigger that the schema has made."""

    table: int
    name: str
    definition: str
    type: int
    """``pg_trigger.tgtype``."""
    function: str
    is_conditional: bool
    """Whether it has a WHEN or columns, so that not every row of its event fires it."""
    is_counted: bool
    """Whether the server counts the calls of its function."""


@dataclass(frozen=True)
class EnumValue:
    """One value of an enum type."""

    type: int
    shown: str
    """The type's name."""
    oid: int
    label: str


@dataclass(frozen=True)
class Inventory:
    """All of one schema."""

    relations: dict[int, Relation] = field(default_factory=dict)
    columns: list[Column] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)
    enum_values: list[EnumValue] = field(default_factory=list)
    views: dict[int, str] = field(default_factory=dict)
    """The queries of views, as the server keeps them."""


def inventory_of(connection: Any) -> Inventory:
    """Return what the database of *connection* has."""
    relations = [Relation(*row) for row in _rows(connection, _RELATIONS)]
    return Inventory(
        {each.oid: each for each in relations},
        [Column(*row) for row in _rows(connection, _COLUMNS)],
        [Constraint(*row) for row in _rows(connection, _CONSTRAINTS)],
        [Index(*row) for row in _rows(connection, _INDEXES)],
        [Trigger(*row) for row in _rows(connection, _TRIGGERS)],
        [EnumValue(*row) for row in _rows(connection, _ENUMS)],
        dict(_rows(connection, _VIEWS)),
    )


def _rows(connection: Any, query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())
