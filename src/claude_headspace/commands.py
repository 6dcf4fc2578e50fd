"""``flask --app claude_headspace ...``: how things stand, and data to try the application with.

The schema's own commands are Flask-Migrate's: ``flask --app claude_headspace db upgrade``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from claude_headspace.database import db, migrate
from claude_headspace.logs import masked
from claude_headspace.services.demo import load_demo_data
from claude_headspace.web.transactions import transaction


def register_commands(app: Flask) -> None:
    """Add the commands to *app*."""
    app.cli.add_command(status)
    app.cli.add_command(demo)


@click.command()
@with_appcontext
def status() -> None:
    """Show the database, its schema's revision and how many rows each table has.

    Exits with 1 if the database does not answer or its schema is not the newest.
    """
    click.echo(f"database  {masked(db.engine.url)}")
    head = ScriptDirectory(migrate.directory).get_current_head()
    with _one_line_for_errors(), db.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        version = connection.dialect.server_version_info or ()
        click.echo(f"server    PostgreSQL {'.'.join(map(str, version))}")
        click.echo(f"revision  {current or 'none'} (newest: {head})")
        if current == head:
            for table in db.metadata.sorted_tables:
                rows = connection.scalar(select(func.count()).select_from(table))
                click.echo(f"{table.name:<20}{rows:>8}")
    if current != head:
        raise click.ClickException("the schema is not the newest: run db upgrade")


@click.command()
@with_appcontext
def demo() -> None:
    """Load demo data: some agents in every state. Run again, it adds only what is missing."""
    with _one_line_for_errors(), transaction() as session:
        loaded = load_demo_data(session)
    click.echo(f"{loaded} agents with their tasks and turns" if loaded else "Nothing is missing.")


@contextmanager
def _one_line_for_errors() -> Iterator[None]:
    """Say in one line why the command can't go on, and no password."""
    try:
        yield
    except OperationalError as error:
        where = masked(db.engine.url)
        raise click.ClickException(f"{where} does not answer: {masked(str(error.orig))}") from None
    except SQLAlchemyError as error:
        raise click.ClickException(masked(str(error))) from None
