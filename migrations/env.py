"""How Alembic reaches the database.

A caller that has a connection hands it over in ``config.attributes["connection"]``: the migrations
run there, in the caller's transaction, and logging stays the caller's. Otherwise they run on the
application's engine: that of ``flask db ...``, or of an application made here for ``alembic ...``.
"""

from __future__ import annotations

from logging.config import fileConfig

from alembic import context
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import Connection

from claude_headspace import create_app
from claude_headspace.database import db

config = context.config


def run_on(connection: Connection) -> None:
    """Run the migrations on *connection*, whose transaction, if it has one, stays open."""
    context.configure(
        connection=connection, target_metadata=db.metadata, process_revision_directives=numbered
    )
    with context.begin_transaction():
        context.run_migrations()


def numbered(_: MigrationContext, __: object, directives: list[MigrationScript]) -> None:
    """Give a new revision the next number; write none to which autogenerate found nothing."""
    (script,) = directives
    head = ScriptDirectory.from_config(config).get_current_head() or "0"
    script.rev_id = f"{int(head) + 1:04}"
    if getattr(config.cmd_opts, "autogenerate", False) and script.upgrade_ops.is_empty():
        directives.clear()


def run_offline() -> None:
    """Write the migrations as SQL instead of running them."""
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the migrations on the caller's connection, else on one of the application's."""
    given: Connection | None = config.attributes.get("connection")
    if given is not None:
        run_on(given)
    elif current_app:
        with db.engine.connect() as connection:
            run_on(connection)
    else:
        fileConfig(str(config.config_file_name), disable_existing_loggers=False)
        with create_app().app_context(), db.engine.connect() as connection:
            run_on(connection)


if context.is_offline_mode():
    run_offline()
else:
    run_online()
