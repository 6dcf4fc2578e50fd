"""A MetaData as text, without a database: what ``create_all`` would make of it now.

The text is compared with that of another run and never executed. Its files could not tell what a
table looks like that is made in a loop, or from a variable of the environment.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function, in the repr of a type
_EVENTS = ("before_create", "after_create")


def rendered(metadata: MetaData) -> Iterator[tuple[str, str]]:
    """Yield by name each table of *metadata*, its sequences, and what listens to their creation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for table in metadata.tables.values():
            yield f"table {table.key}", _ADDRESS.sub("", "\n".join(_rendered_table(table)))
        yield "schema", str(metadata.schema)
        yield "naming", str(sorted(map(str, metadata.naming_convention.items())))
        yield "sequences", str(sorted(repr(each) for each in metadata._sequences.values()))
        yield "listeners", "\n".join(_listeners(metadata))


def _rendered_table(table: Table) -> Iterator[str]:
    yield _compiled(CreateTable(table))
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        yield _compiled(CreateIndex(index))
    yield from sorted(_compiled_constraint(each) for each in table.constraints)
    for column in table.columns:
        # The values of an enum and the comment are statements of their own.
        values = getattr(column.type, "enums", "")
        yield f"{column.name} {column.type!r} {values} {column.comment} {column.identity!r}"
    yield f"{table.comment} {sorted(map(str, table.dialect_kwargs.items()))}"
    yield from _listeners(table)


def _compiled_constraint(constraint: Any) -> str:
    return (
        f"{type(constraint).__name__} {constraint.name} {constraint.deferrable} "
        f"{constraint.initially} {getattr(constraint, 'use_alter', None)} "
        f"{getattr(constraint, 'sqltext', '')} {[str(each) for each in constraint.columns]}"
        if hasattr(constraint, "columns")
        else repr(constraint)
    )


def _listeners(target: Any) -> Iterator[str]:
    for event in _EVENTS:
        for listener in getattr(target.dispatch, event):
            name = getattr(listener, "__qualname__", type(listener).__qualname__)
            module = getattr(listener, "__module__", "")
            yield f"{event} {module}:{name} {getattr(listener, 'statement', '')}"


def _compiled(statement: Any) -> str:
    try:
        return str(statement.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    except SQLAlchemyError as error:  # which the server will tell as well
        return repr(error)
