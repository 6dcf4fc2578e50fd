"""Runs a project's migrations one by one, up and down, on a database of ours.

Alembic's own commands read every revision file anew each time. Here the directory is read once,
and what runs is exactly the revision that is named, on whichever branch it is; env.py runs each
time, as it does in production, with a transaction of its own.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from pgsandbox.schema.builders import alembic_config, quiet_warnings, without_alembic
from pgsandbox.schema.catalog import read_catalog
from pgsandbox.schema.logs import logging_kept
from pgsandbox.schema.schema_objects import Catalog
from pgsandbox.schema.versions import version_table_of, without_versions

try:
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext, RevisionStep
    from alembic.script import ScriptDirectory
except ModuleNotFoundError as error:
    raise without_alembic() from error

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script.base import Script


Gate = Callable[[URL], contextlib.AbstractContextManager[None]]
"""Lets connections to a URL through while it is open."""


@contextlib.contextmanager
def _open_to_all(_: URL) -> Iterator[None]:
    yield


@dataclass(frozen=True)
class Revision:
    """One migration."""

    name: str
    """Its identifier."""
    message: str
    """The first line of its docstring."""
    file: Path
    """Where it stands."""
    has_downgrade: bool
    """Whether it says how to go back."""

    def __str__(self) -> str:
        """Its identifier and what it says it does."""
        return f"{self.name} ({self.message})" if self.message else self.name


class Migrations:
    """A project's migrations on one database; a context that closes its connection at the end.

    Everything runs on one connection, which env.py gets as ``config.attributes["connection"]``.
    *through* lets it, and whatever else env.py connects to, through to the database.
    """

    def __init__(self, location: Path, url: URL, *, through: Gate = _open_to_all) -> None:
        self.url = url
        self.location = location
        self._through = through
        self._version_tables: frozenset[str] = frozenset()
        self.statements: list[str] = []
        """What the last migration sent."""
        self.present: Revision | None = None
        """The one that ran last, or was to be printed."""

    def __enter__(self) -> Self:
        """Connect."""
        self._stack = contextlib.ExitStack()
        engine = sqlalchemy.create_engine(self.url, poolclass=NullPool)
        event.listen(engine, "before_cursor_execute", self._sending)
        self._stack.callback(engine.dispose)
        self._stack.enter_context(quiet_warnings())
        with self._through(self.url):
            self.connection: Connection = self._stack.enter_context(engine.connect())
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no connection open."""
        self._stack.close()

    # -- what there is ------------------------------------------------------------------------

    @property
    def heads(self) -> list[str]:
        """The revisions that nothing follows."""
        return [*self._scripts.get_heads()]

    @cached_property
    def revisions(self) -> tuple[Revision, ...]:
        """Every revision, each after those that it builds on."""
        scripts = reversed([*self._scripts.walk_revisions("base", "heads")])
        return tuple(_revision(script) for script in scripts)

    def up_to(self, name: str) -> tuple[Revision, ...]:
        """Return the revision *name* and those that it builds on, oldest first.

        Raises:
            ValueError: there is no such revision.
        """
        known = {revision.name: revision for revision in self.revisions}
        if name not in known:
            raise ValueError(f"there is no revision {name!r}; there are {', '.join(known)}")
        wanted = self._scripts.walk_revisions("base", name)
        return tuple(known[script.revision] for script in reversed([*wanted]))

    def catalog(self) -> Catalog:
        """Return the database's schema, without Alembic's own table and a schema for it alone."""
        found = read_catalog(self.connection.connection.driver_connection)  # type: ignore[arg-type]
        self.connection.rollback()
        return without_versions(found, self._version_tables)

    # -- what can be done ---------------------------------------------------------------------

    def upgrade(self, *revisions: Revision) -> None:
        """Run the upgrades of *revisions*, each of which follows from what is there."""
        self._run(revisions, is_upgrade=True)

    def downgrade(self, *revisions: Revision) -> None:
        """Undo *revisions*, each of which nothing follows when its turn comes."""
        self._run(revisions, is_upgrade=False)

    def offline_sql(self) -> list[tuple[Revision | None, str]]:
        """Return the statements that ``alembic upgrade --sql`` prints, each with its revision."""
        written = _Statements(lambda: self.present)
        self.present = None
        config = alembic_config(self.location, self.url, None)
        config.output_buffer = written
        self._run_environment(config, self.revisions, is_upgrade=True, as_sql=True)
        return written.found

    def execute(self, statements: list[tuple[Revision | None, str]]) -> None:
        """Run what `offline_sql` returned one by one, transactions among it, as psql would."""
        connection: Any = self.connection.connection.driver_connection
        self.connection.rollback()
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for self.present, statement in statements:
                    cursor.execute(statement)
        finally:
            connection.rollback()
            connection.autocommit = False

    @cached_property
    def _scripts(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(alembic_config(self.location, self.url, None))

    def _run(self, revisions: tuple[Revision, ...], *, is_upgrade: bool) -> None:
        self.statements.clear()
        config = alembic_config(self.location, self.url, self.connection)
        try:
            self._run_environment(config, revisions, is_upgrade=is_upgrade)
            self.connection.commit()
        finally:
            self.connection.rollback()

    def _run_environment(
        self,
        config: Config,
        revisions: tuple[Revision, ...],
        *,
        is_upgrade: bool,
        as_sql: bool = False,
    ) -> None:
        def steps(_: Any, context: MigrationContext) -> Iterator[RevisionStep]:
            return self._steps(revisions, context, is_upgrade=is_upgrade)

        with (
            self._through(self.url),
            logging_kept(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
            EnvironmentContext(
                config, self._scripts, fn=steps, as_sql=as_sql, destination_rev="heads"
            ),
        ):
            self._scripts.run_env()

    def _steps(
        self, revisions: tuple[Revision, ...], context: MigrationContext, *, is_upgrade: bool
    ) -> Iterator[RevisionStep]:
        self._version_tables |= {version_table_of(context)}
        scripts = self._scripts
        for revision in revisions:
            script = scripts.get_revision(revision.name)
            assert script is not None
            self.present = revision
            yield RevisionStep(scripts.revision_map, script, is_upgrade)

    def _sending(self, *arguments: Any) -> None:
        self.statements.append(str(arguments[2]))


class _Statements(io.StringIO):
    """Keeps apart what Alembic writes: a statement each time, or a comment."""

    def __init__(self, present: Callable[[], Revision | None]) -> None:
        super().__init__()
        self.found: list[tuple[Revision | None, str]] = []
        self._present = present

    def write(self, text: str) -> int:
        if text.strip() and not text.startswith("--"):
            self.found.append((self._present(), text.strip()))
        return len(text)


def _revision(script: Script) -> Revision:
    return Revision(
        name=script.revision,
        message=script.doc or "",
        file=Path(script.path),
        has_downgrade=hasattr(script.module, "downgrade"),
    )
