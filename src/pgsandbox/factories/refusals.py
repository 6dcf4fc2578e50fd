"""Why the server took no object: its own words, and what they are about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from pgsandbox.factories.mapped_classes import Model


@dataclass(frozen=True)
class Refusal:
    """Why an object could not be written."""

    said: str
    """In one line."""
    state: str = ""
    """PostgreSQL's code for it (manual, appendix A)."""
    column: str = ""
    constraint: str = ""
    table: str = ""


NOT_NULL, FOREIGN_KEY, UNIQUE, CHECK, EXCLUSION = "23502", "23503", "23505", "23514", "23P01"

CURES = {
    NOT_NULL: "Declare the column that the server names.",
    FOREIGN_KEY: "Feed the key from factory.SubFactory, so that its parent is there.",
    UNIQUE: "Feed the column from factory.Sequence.",
    CHECK: "Declare values that satisfy the constraint.",
    EXCLUSION: "Feed one of its columns from factory.Sequence.",
}


def refusal_of(error: BaseException) -> Refusal:
    """Return what *error* says, as far as its driver tells."""
    original: Any = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines() or [type(error).__name__]
    said = "; ".join(
        line.strip() for line in lines[:2] if line.strip() and not line.startswith("LINE")
    )
    if original is error:
        said = f"{type(error).__name__}: {said}"
    sources = [getattr(original, "diag", None), original, original.__cause__]

    def ask(*names: str) -> str:
        for source in sources:
            for name in names:
                value = getattr(source, name, None)
                if isinstance(value, str) and value:
                    return value
        return ""

    return Refusal(
        said,
        ask("sqlstate", "pgcode"),
        ask("column_name"),
        ask("constraint_name"),
        ask("table_name"),
    )


def attributes_of(model: Model, refusal: Refusal) -> Iterator[str]:
    """Yield the attributes of *model* that the refusal is about."""
    columns = {column for table in model.tables for column in _columns_of(table, refusal)}
    for name, table, condition in model.conditions:
        if name and name == refusal.constraint:
            columns.update(each for each in table.columns if each.name in condition.columns)
    for column, name in model.attributes.items():
        if column in columns:
            yield name
    for relationship in model.mapper.relationships:
        if columns & set(relationship.local_columns):
            yield relationship.key


def _columns_of(table: Table, refusal: Refusal) -> Iterator[Any]:
    named = refusal.constraint
    if named == f"{table.name}_pkey":
        yield from table.primary_key.columns
    for constraint in table.constraints:
        if named and constraint.name == named:
            yield from getattr(constraint, "columns", ())
    for index in table.indexes:
        if index.name == named:
            yield from index.columns
    for column in table.columns:
        # As PostgreSQL names what nobody did.
        if column.name == refusal.column or named.startswith(f"{table.name}_{column.name}_"):
            yield column
