"""Creates the tables of the models, and where that fails finds all that stands in the way."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateSchema

_UNDEFINED_TABLE = "42P01"  # undefined_table (manual, appendix A)


def create_all(connection: Connection, metadatas: Sequence[MetaData]) -> None:
    """Create the schemas that the tables name, and the tables.

    Raises:
        SQLAlchemyError: it can't be done; the first problem, with every other one as a note.
    """
    try:
        for metadata in metadatas:
            _create_schemas(connection, metadata)
            metadata.create_all(connection)
    except SQLAlchemyError as error:
        if is_loss(error):
            raise
        connection.rollback()
        for problem in _problems(connection, metadatas):
            if problem not in str(error):
                error.add_note(problem)
        raise


def _create_schemas(connection: Connection, metadata: MetaData) -> None:
    for name in _schemas_of(metadata):
        connection.execute(CreateSchema(name, if_not_exists=True))


def _schemas_of(metadata: MetaData) -> list[str]:
    names = {table.schema for table in metadata.tables.values() if table.schema}
    return sorted(names | ({metadata.schema} if metadata.schema else set()))


def _problems(connection: Connection, metadatas: Sequence[MetaData]) -> list[str]:
    """Return what each table fails for when it is created by itself, each problem once.

    A table that refers to one that failed does so for want of it, which is no news.
    """
    found: dict[str, None] = {}
    for metadata in metadatas:
        with contextlib.suppress(SQLAlchemyError), connection.begin_nested():
            _create_schemas(connection, metadata)
        for table in metadata.sorted_tables:
            try:
                with connection.begin_nested():
                    table.create(connection)
            except DBAPIError as error:
                if sqlstate_of(error) != _UNDEFINED_TABLE:
                    found[str(error.orig).strip().splitlines()[0]] = None
            except SQLAlchemyError as error:
                found[str(error).splitlines()[0]] = None
    connection.rollback()
    return list(found)


def is_loss(error: Exception) -> bool:
    """Whether the server, or the way to it, ended the connection with *error*."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def sqlstate_of(error: Exception) -> str | None:
    """Return what the server calls *error*, by whichever driver it came; None if it is not its."""
    original = getattr(error, "orig", None)
    state: str | None = getattr(original, "pgcode", None) or getattr(original, "sqlstate", None)
    return state
