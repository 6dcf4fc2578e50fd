"""Builds a schema in an empty database: extensions, schemas, tables, seed rows, in that order."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import os
import re
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy
from sqlalchemy import Connection, MetaData
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgsandbox import guard
from pgsandbox.errors import (
    REMEDY_FOR_A_CRASH,
    REMEDY_FOR_A_FULL_DISK,
    ConfigurationError,
    Fact,
    PgSandboxError,
    SchemaNotBuilt,
)
from pgsandbox.schema import missing_ini
from pgsandbox.schema.creating import create_all, is_loss, sqlstate_of
from pgsandbox.schema.logs import logging_kept
from pgsandbox.schema.rendering import rendered

if TYPE_CHECKING:
    from alembic.config import Config

Seed = Callable[[Session], object]


class Builder(Protocol):
    """What gives an empty database its schema."""

    def describe(self) -> Iterator[tuple[str, str]]:
        """Yield by name what the result depends on and no file of the project says."""

    def files(self) -> Iterator[Path]:
        """Yield the files that say the rest, as far as they may be outside of the project."""

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

    def describe(self) -> Iterator[tuple[str, str]]:
        """Yield the tables as they are, whatever made them so, extensions and seed."""
        yield "built from", "metadata"
        yield from _described(self.extensions, self.seed)
        for number, metadata in enumerate(self.metadata):
            yield from ((f"{number} {name}", text) for name, text in rendered(metadata))

    def files(self) -> Iterator[Path]:
        """Yield the module of the seed, which may be anywhere."""
        return _module_files(self.seed)

    def build(self, url: URL) -> None:
        """Create extensions, the schemas that the tables name, the tables, and the seed rows."""
        with connected(url) as connection:
            _create_extensions(connection, self.extensions)
            with _blaming(connection, "the models' metadata", _REMEDY_FOR_METADATA):
                create_all(connection, self.metadata)
                connection.commit()
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

    def __post_init__(self) -> None:
        """Say which extra is missing before anything is made."""
        if importlib.util.find_spec("alembic") is None:
            raise without_alembic()

    def describe(self) -> Iterator[tuple[str, str]]:
        """Yield extensions and seed; the rest is in files."""
        yield "built from", "migrations"
        yield from _described(self.extensions, self.seed)

    def files(self) -> Iterator[Path]:
        """Yield all files of the environment, its ini file, and the module of the seed."""
        yield from _module_files(self.seed)
        folder = self.location if self.location.is_dir() else self.location.parent
        ini, _, _ = ini_section(self.location)
        yield from (folder / "alembic.ini", folder.parent / "alembic.ini", ini)
        if self.location.is_dir():
            yield from (
                file
                for file in sorted(folder.rglob("*"))
                if "__pycache__" not in file.parts and file.is_file()
            )

    def build(self, url: URL) -> None:
        """Create extensions, run every migration, and add the seed rows.

        The environment gets the connection as ``config.attributes["connection"]``, the URL as
        ``sqlalchemy.url``; what it configures of logging is undone, and what it prints is only
        shown where it fails.
        """
        origin, output = f"the migrations in {self.location}", io.StringIO()
        with connected(url) as connection:
            _create_extensions(connection, self.extensions)
            with _blaming(connection, origin, self._remedy, output):
                # Alembic is an optional dependency, needed here and nowhere else.
                from alembic import command

                with logging_kept(), redirect_stdout(output), redirect_stderr(output):
                    command.upgrade(alembic_config(self.location, url, connection), "heads")
                connection.commit()
            _plant(connection, self.seed)

    def _remedy(self, error: Exception) -> str:
        is_of_ini = missing_ini.is_cause(error, self.location)
        return missing_ini.REMEDY if is_of_ini else _REMEDY_FOR_MIGRATIONS


def without_alembic() -> ConfigurationError:
    """Return the error of a project that has migrations, and nothing to run them with."""
    return ConfigurationError(
        "The migrations can't be run, since Alembic is not installed here.",
        facts=[Fact("package", "alembic"), Fact("extra", "pgsandbox[migrations]")],
        remedy='Install it with: pip install "pgsandbox[migrations]"',
    )


def _described(extensions: Sequence[str], seed: Seed | None) -> Iterator[tuple[str, str]]:
    yield "extensions", "\n".join(extensions)
    yield "seed", "" if seed is None else _name_of(seed)


def _module_files(seed: Seed | None) -> Iterator[Path]:
    module = sys.modules.get(getattr(seed, "__module__", "") or "")
    file = getattr(module, "__file__", None)
    if seed is not None and isinstance(file, str):
        yield Path(file)


_REMEDY_FOR_EXTENSIONS = (
    "A server has the extensions that were installed with it, and the embedded one few. Install a "
    "PostgreSQL that has it (on Debian and Ubuntu postgresql-<version>, and for an extension that "
    "is not PostgreSQL's own postgresql-<version>-<extension>) and name its programs in "
    "PGSANDBOX_BINDIR; or name a server that has it in TEST_DATABASE_URL; or remove the extension "
    "from `extensions`."
)
_REMEDY_FOR_AN_EXTENSION_THAT_IS_NOT_THERE = (
    "A server has the extensions that were installed with it, and the embedded one few. Name "
    "another server in TEST_DATABASE_URL, or let the embedded one use a PostgreSQL of this machine "
    "that has the extension: PGSANDBOX_BINDIR is the directory of its programs."
)
_REMEDY_FOR_METADATA = (
    "If the statement needs an extension, name it in `extensions`; if only the migrations can make "
    'these tables, set `schema = "migrations"`.'
)
_REMEDY_FOR_MIGRATIONS = (
    "They ran on an empty database, as on a new machine. If the statement needs an extension, name "
    "it in `extensions`. Where env.py needs an application's context, name the application, or its "
    'factory, in the setting `app`: app = "package.module:create_app".'
)
_REMEDY_FOR_LOCKS = (
    "Two connections of the environment wait for each other. Where it migrates several databases "
    "at once, they are one while it is built: let each have a section of the ini file, or a "
    'directory, of its own, and name that in its bind: migrations = "alembic.ini:name".'
)
# SQLSTATEs of appendix A: lock_not_available, disk_full, read_only_sql_transaction.
_REMEDIES = {
    "55P03": _REMEDY_FOR_LOCKS,
    "53100": REMEDY_FOR_A_FULL_DISK,
    "25006": "Transactions are read-only by default for this role, this database or this shell: "
    "unset default_transaction_read_only (ALTER ROLE ... RESET, or PGOPTIONS).",
}
_REMEDY_FOR_SEED = "It is called once with a Session, when the tables are there and empty."


@contextlib.contextmanager
def connected(url: URL) -> Iterator[Connection]:
    """A connection to the database at *url*, with warnings silenced, closed at the block's end.

    Raises:
        SchemaNotBuilt: the server lets nobody in.
    """
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    try:
        try:
            opened = engine.connect()
        except DBAPIError as error:
            raise SchemaNotBuilt(
                "The schema could not be built, since the server did not let pgsandbox in.",
                facts=[Fact("database", url.database or ""), *_facts_of(error)],
                remedy=REMEDY_FOR_A_CRASH,
            ) from error
        with opened as connection, quiet_warnings():
            yield connection
    finally:
        engine.dispose()


@contextlib.contextmanager
def quiet_warnings() -> Iterator[None]:
    """Let the project's own code warn as much as it likes.

    pytest's filters may make errors of warnings, but not before the collection begins: the same
    schema would be built by a single process and not by the workers of xdist.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _create_extensions(connection: Connection, extensions: Sequence[str]) -> None:
    quote = connection.dialect.identifier_preparer.quote
    for name in extensions:
        with _blaming(connection, f'the extension "{name}"', _REMEDY_FOR_EXTENSIONS):
            connection.exec_driver_sql(f"CREATE EXTENSION IF NOT EXISTS {quote(name)} CASCADE")
            connection.commit()


def _plant(connection: Connection, seed: Seed | None) -> None:
    if seed is None:
        return
    with _blaming(connection, f"the seed {_name_of(seed)}", _REMEDY_FOR_SEED):
        with Session(connection) as session:
            seed(session)
            session.commit()
        connection.commit()


def _name_of(seed: Seed) -> str:
    name = getattr(seed, "__qualname__", type(seed).__qualname__)
    return f"{getattr(seed, '__module__', '')}:{name}"


def alembic_config(location: Path, url: URL, connection: Connection | None) -> Config:
    """Return the configuration of the environment at *location*, with *connection* to use."""
    if location.is_dir():
        config = _config(missing_ini.nearby_ini(location), location.parent)
        config.set_main_option("script_location", str(location).replace("%", "%%"))
    else:
        config = _config(*ini_section(location))
        _anchor(config, location.parent)
    shown = _with_driver_of(config, url).render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", shown.replace("%", "%%"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def ini_section(location: Path) -> tuple[Path, Path, str]:
    """Return the ini file that *location* names, its directory, and the section in it.

    ``alembic.ini:billing`` is what ``alembic -n billing`` reads.
    """
    name, colon, section = location.name.rpartition(":")
    if colon and not location.exists():
        return location.with_name(name), location.parent, section
    return location, location.parent, "alembic"


def _config(ini: Path | None, directory: Path, section: str = "alembic") -> Config:
    """Return what Alembic reads in *ini*, and in a pyproject.toml beside it from 1.16 on."""
    from alembic.config import Config  # optional, as above

    more: dict[str, Any] = {}
    if "toml_file" in inspect.signature(Config).parameters:
        more["toml_file"] = str(directory / "pyproject.toml")
    return Config(str(ini) if ini else None, ini_section=section, **more)


def _with_driver_of(config: Config, url: URL) -> URL:
    """Return *url* for the driver that the ini file names.

    An asynchronous env.py needs it: ``async_engine_from_config`` refuses any other.
    """
    # Raw, since the text may hold what only env.py puts in.
    said = config.file_config.get(
        config.config_ini_section, "sqlalchemy.url", raw=True, fallback=""
    )
    named = re.match(r"postgres(?:ql)?\+(\w+)://", said)
    return url.set(drivername=f"postgresql+{named[1]}") if named else url


def _anchor(config: Config, directory: Path) -> None:
    """Let a relative ``script_location`` start where the ini file is, not where pytest is run.

    Alembic starts it where it is called, which for ``-c conf/alembic.ini`` is a folder above.
    """
    place = config.get_main_option("script_location") or ""
    if place and ":" not in place:  # which would be a package's resource
        above = (each for each in (directory, *directory.parents) if (each / place).is_dir())
        directory = next(above, directory)
        config.set_main_option("script_location", str(directory / place).replace("%", "%%"))


# -- what went wrong --------------------------------------------------------------------------

_LONGEST = 2000
_LAST_LINES = 5


@contextlib.contextmanager
def _blaming(
    connection: Connection,
    origin: str,
    remedy: str | Callable[[Exception], str],
    output: io.StringIO | None = None,
) -> Iterator[None]:
    """Raise SchemaNotBuilt for whatever goes wrong in the block, which *origin* brought about.

    The end of *output* is told with it.
    """
    try:
        yield
    except PgSandboxError:
        raise
    except Exception as error:
        said = output.getvalue().splitlines()[-_LAST_LINES:] if output else []
        lost = "; the server ended the connection" if is_loss(error) else ""
        raise SchemaNotBuilt(
            f"The schema could not be built from {origin}{lost}.",
            facts=[
                Fact("database", connection.engine.url.database or ""),
                *_facts_of(error),
                *([Fact("output", _shortened("\n".join(said)))] if said else []),
            ],
            remedy=_remedy_for(error) or (remedy if isinstance(remedy, str) else remedy(error)),
        ) from error


def _remedy_for(error: Exception) -> str | None:
    if is_loss(error):
        return REMEDY_FOR_A_CRASH
    if _lacks(error):
        return _REMEDY_FOR_AN_EXTENSION_THAT_IS_NOT_THERE
    return _REMEDIES.get(sqlstate_of(error) or "")


def _lacks(error: Exception) -> bool:
    """Whether the project's own CREATE EXTENSION named one that the server does not have."""
    statement = str(getattr(error, "statement", None) or "").upper().split()
    # PostgreSQL 14 does not find a file, later versions say what that means.
    return sqlstate_of(error) in {"0A000", "58P01"} and statement[:2] == ["CREATE", "EXTENSION"]


def _facts_of(error: Exception) -> Iterator[Fact]:
    if isinstance(error, DBAPIError) and error.orig is not None:
        yield Fact("server said", _shortened(str(error.orig)))
        if error.statement:
            yield Fact("statement", _shortened(error.statement))
    else:
        yield Fact("error", _shortened(f"{type(error).__name__}: {error}"))
    others = getattr(error, "__notes__", [])
    if others:
        yield Fact("and also", _shortened("\n".join(others)))
    place = _place_of(error)
    if place:
        yield Fact("raised at", place)


def _shortened(text: str) -> str:
    lines = [line.rstrip() for line in guard.masked(text).splitlines() if line.strip()]
    return "\n".join(lines)[:_LONGEST]


def _place_of(error: Exception) -> str | None:
    """Return the last line of the project's own code on the way to *error*, if there is any."""
    places = traceback.extract_tb(error.__traceback__)
    own = [place for place in places if not place.filename.startswith(_NOT_THE_PROJECTS)]
    return f"{os.path.relpath(own[-1].filename)}:{own[-1].lineno}" if own else None


_NOT_THE_PROJECTS = (
    "<",
    str(Path(__file__).parents[1]),
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)
