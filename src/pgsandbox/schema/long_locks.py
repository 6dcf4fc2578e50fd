"""Which migrations would keep a large table locked for long.

What a migration did is read from the catalog: a table that has another file was written anew, and
an index that is there was built. Only whether it was built CONCURRENTLY is read from the statement.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from sqlalchemy import Connection, text

from pgsandbox.reports import Finding
from pgsandbox.schema.checks import PAGE
from pgsandbox.schema.migrating import Migrations, Revision


@dataclass(frozen=True)
class _State:
    """What a table's file is, and what stands on it."""

    file: int
    indexes: frozenset[str]
    """OID and name: a new name is no new index."""
    validated: frozenset[str]
    """The same of its constraints, as far as all rows were checked."""
    constraints: frozenset[str]
    """The same of all of them: VALIDATE CONSTRAINT locks no writer."""
    columns: frozenset[str]
    not_null: frozenset[str]
    proven: frozenset[str]


def long_locks(migrations: Migrations, large_tables: tuple[str, ...]) -> list[Finding]:
    """Return what would lock one of *large_tables* for as long as a look at all its rows takes.

    Raises what a migration raises.
    """
    found: list[Finding] = []
    before: dict[str, _State] = {}
    for revision in migrations.revisions:
        migrations.upgrade(revision)
        after = {
            name: state
            for name in large_tables
            if (state := _state(migrations.connection, name)) is not None
        }
        for name in [name for name in after if name in before]:
            found += _between(revision, name, before[name], after[name], migrations.statements)
        before = after
    return found


def _state(connection: Connection, name: str) -> _State | None:
    row = connection.execute(_LOOK, {"name": name}).one_or_none()
    connection.rollback()
    if row is None:
        return None
    return _State(row[0], *(frozenset(names) for names in row[1:]))


def _between(
    revision: Revision, table: str, before: _State, after: _State, statements: list[str]
) -> list[Finding]:
    if before.file != after.file:
        # Which builds its indexes anew and looks at every row for whatever else is new.
        return [_finding(revision, table, "table-rewritten", "writes the table anew", _REWRITE)]
    found = []
    for index in _new(after.indexes, before.indexes):
        if not _is_concurrent(index, statements):
            what = f"builds the index {index} while nobody can write"
            found.append(_finding(revision, table, "index-not-concurrent", what, _INDEX))
    for constraint in _new(after.validated, before.constraints):
        what = f"checks every row for the constraint {constraint}"
        found.append(_finding(revision, table, "constraint-validated", what, _CONSTRAINT))
    for column in sorted((after.not_null - before.not_null - before.proven) & before.columns):
        what = f"looks for a null in every row of the column {column}"
        found.append(_finding(revision, table, "not-null-scan", what, _NOT_NULL))
    return found


def _new(after: frozenset[str], before: frozenset[str]) -> list[str]:
    known = {each.partition(" ")[0] for each in before}
    parts = [each.partition(" ") for each in after]
    return sorted(name for oid, _, name in parts if oid not in known)


def _is_concurrent(index: str, statements: list[str]) -> bool:
    named = re.compile(rf"\bCONCURRENTLY\b.*\b{re.escape(index)}\b", re.IGNORECASE | re.DOTALL)
    return any(named.search(statement) for statement in statements)


def _finding(revision: Revision, table: str, code: str, what: str, remedy: str) -> Finding:
    return Finding(
        code=code,
        message=f"{revision} {what}.",
        subject=table,
        path=os.path.relpath(revision.file),
        remedy=remedy,
        page=f"{PAGE}#large-tables",
    )


_REWRITE = (
    "Nobody can read or write it meanwhile. Add a column without a volatile default and fill it in "
    "batches; change a type by a new column (PostgreSQL manual, ALTER TABLE, Notes)."
)
_INDEX = (
    'Use op.create_index(..., postgresql_concurrently=True) in "with '
    'op.get_context().autocommit_block()".'
)
_CONSTRAINT = "Add it NOT VALID and validate it in a later migration, which locks no writer."
_NOT_NULL = (
    "Add CHECK (... IS NOT NULL) NOT VALID, validate it in a later migration, and set NOT NULL "
    "then, which needs no look any more."
)
_LOOK = text(
    """
    SELECT relfilenode::bigint,
        array(SELECT i.oid || ' ' || relname FROM pg_index JOIN pg_class i ON i.oid = indexrelid
              WHERE indrelid = c.oid),
        array(SELECT oid || ' ' || conname FROM pg_constraint
              WHERE conrelid = c.oid AND convalidated AND contype IN ('c', 'f')),
        array(SELECT oid || ' ' || conname FROM pg_constraint WHERE conrelid = c.oid),
        array(SELECT attname::text FROM pg_attribute
              WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
        array(SELECT attname::text FROM pg_attribute
              WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attnotnull),
        array(SELECT attname::text FROM pg_attribute JOIN pg_constraint k ON conrelid = attrelid
              WHERE attrelid = c.oid AND contype = 'c' AND convalidated
              AND pg_get_expr(conbin, conrelid) = '(' || quote_ident(attname) || ' IS NOT NULL)')
    FROM pg_class c WHERE oid = to_regclass(:name)
    """
)
