"""Builds a schema in an empty database: extensions, schemas, tables, seed rows, in that order."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import sqlalchemy
from sqlalchemy import Connection, MetaData
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from pgsandbox.errors import Fact, PgSandboxError, SchemaNotBuilt

if TYPE_CHECKING:
    from alembic.config import Config

Seed = Callable[[Session], object]


class Builder(Protocol):
    """What gives an empty database its schema."""

    def build(self, url: URL) -> None:
        """Build the schema in the empty database at *url*, and leave no connection open.

        Raises:
            SchemaNotBuilt: a statement failed; the database is to be thrown away.
        """


@dataclass(frozen=True)
class MetadataBuilder:
    """Builds the schema by ``MetaData.create_all``."""

    metadata: Sequence[MetaData]
    """Every MetaData whose tables belong into the database."""
    extensions: Sequence[str] = ()
    """PostgreSQL extensions, created first."""
    seed: Seed | None = None
    """Adds the rows that every test starts from; committed for it."""

    def build(self, url: URL) -> None:
        """Create extensions, the schemas that the tables name, the tables, and the seed rows."""
        with _connected(url, "the models' metadata") as connection:
            _create_extensions(connection, self.extensions)
            for metadata in self.metadata:
                for name in _schemas_of(metadata):
                    connection.execute(CreateSchema(name, if_not_exists=True))
                metadata.create_all(connection)
            _plant(connection, self.seed)


@dataclass(frozen=True)
class MigrationsBuilder:
    """Builds the schema by ``alembic upgrade heads``."""

    location: Path
    """The directory of the Alembic environment, or its ini file."""
    extensions: Sequence[str] = ()
    """PostgreSQL extensions, created first."""
    seed: Seed | None = None
    """Adds the rows that every test starts from; committed for it."""

    def build(self, url: URL) -> None:
        """Create extensions, run every migration, and add the seed rows.

        The environment gets the connection as ``config.attributes["connection"]``, the URL as
        ``sqlalchemy.url``; what it configures of logging is undone.
        """
        # Alembic is an optional dependency, needed where this class is used and nowhere else.
        from alembic import command

        with _connected(url, f"the migrations in {self.location}") as connection:
            _create_extensions(connection, self.extensions)
            connection.commit()
            with _logging_kept():
                command.upgrade(_alembic_config(self.location, url, connection), "heads")
            connection.commit()
            _plant(connection, self.seed)


@contextlib.contextmanager
def _connected(url: URL, origin: str) -> Iterator[Connection]:
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
            connection.commit()
    except PgSandboxError:
        raise
    except Exception as error:
        raise SchemaNotBuilt(
            f"The schema could not be built from {origin}.",
            facts=[
                Fact("database", url.database or ""),
                Fact("error", f"{type(error).__name__}: {str(error).strip()[:2000]}"),
            ],
            remedy=(
                "The database was empty before. If the statement needs an extension, name it in "
                "`extensions`; if the tables can only be made by the migrations, set "
                '`schema = "migrations"`.'
            ),
        ) from error
    finally:
        engine.dispose()


def _create_extensions(connection: Connection, extensions: Sequence[str]) -> None:
    for name in extensions:
        quoted = connection.dialect.identifier_preparer.quote(name)
        connection.exec_driver_sql(f"CREATE EXTENSION IF NOT EXISTS {quoted} CASCADE")


def _schemas_of(metadata: MetaData) -> list[str]:
    names = {table.schema for table in metadata.tables.values() if table.schema}
    return sorted(names | ({metadata.schema} if metadata.schema else set()))


def _plant(connection: Connection, seed: Seed | None) -> None:
    if seed is None:
        return
    with Session(connection) as session:
        seed(session)
        session.commit()


def _alembic_config(location: Path, url: URL, connection: Connection) -> Config:
    from alembic.config import Config  # optional, as above

    if location.is_dir():
        nearby = [location / "alembic.ini", location.parent / "alembic.ini"]
        ini = next((file for file in nearby if file.is_file()), None)
        config = Config(str(ini) if ini else None)
        config.set_main_option("script_location", str(location).replace("%", "%%"))
    else:
        config = Config(str(location))
    shown = url.render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", shown.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """Undo what an env.py does to logging: fileConfig replaces handlers and disables loggers."""
    root = logging.getLogger()
    loggers = [
        root,
        *(x for x in root.manager.loggerDict.values() if isinstance(x, logging.Logger)),
    ]
    before = [(x, x.level, x.disabled, x.propagate, list(x.handlers)) for x in loggers]
    try:
        yield
    finally:
        for logger, level, disabled, propagate, handlers in before:
            logger.setLevel(level)
            logger.disabled, logger.propagate = disabled, propagate
            logger.handlers[:] = handlers
