"""How Alembic reaches the database.

A caller that has a connection hands it over in ``config.attributes["connection"]``: the migrations
run there, in the caller's transaction, and logging stays the caller's. Otherwise, at the command
line, the URL is the application's own.
"""

from __future__ import annotations

from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection, NullPool, create_engine

from claude_headspace import models  # noqa: F401  (importing it registers the tables)
from claude_headspace.config import database_url
from claude_headspace.database import db

config = context.config


def run_offline() -> None:
    """Write the migrations as SQL instead of running them."""
    context.configure(
        url=database_url(),
        target_metadata=db.metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()


def run_on(connection: Connection) -> None:
    """Run the migrations on *connection*, whose transaction, if it has one, stays open."""
    context.configure(connection=connection, target_metadata=db.metadata)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the migrations on the caller's connection, else on one of our own."""
    given: Connection | None = config.attributes.get("connection")
    if given is not None:
        run_on(given)
        return
    engine = create_engine(database_url(), poolclass=NullPool, connect_args={"connect_timeout": 5})
    with engine.connect() as connection:
        run_on(connection)


if config.config_file_name is not None and config.attributes.get("connection") is None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)

if context.is_offline_mode():
    run_offline()
else:
    run_online()
