"""The database's schema, brought to a revision by the migrations in ``migrations/``."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from claude_headspace.config import CHECKOUT


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to *revision*, in the caller's transaction: all steps or none."""
    command.upgrade(_configuration(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Take the schema back to *revision*, ``base`` for nothing, in the caller's transaction."""
    command.downgrade(_configuration(connection), revision)


def new_revision(connection: Connection, message: str, migrations: Path | None = None) -> Path:
    """Write what the models have and the database has not as the next revision; return the file.

    The database has to be at the newest revision: what it lacks is compared with the models.
    """
    configuration = _configuration(connection, migrations)
    head = ScriptDirectory.from_config(configuration).get_current_head() or "0"
    written = command.revision(
        configuration, message, autogenerate=True, rev_id=f"{int(head) + 1:04}"
    )
    assert isinstance(written, Script)  # one was asked for, not several
    return Path(written.path)


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database is at, None if it never was migrated."""
    return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str | None:
    """Return the newest revision there is."""
    return ScriptDirectory.from_config(_configuration()).get_current_head()


def _configuration(connection: Connection | None = None, migrations: Path | None = None) -> Config:
    configuration = Config()
    # Alembic reads its options with %-interpolation.
    location = str(migrations or CHECKOUT / "migrations").replace("%", "%%")
    configuration.set_main_option("script_location", location)
    configuration.attributes["connection"] = connection
    return configuration
