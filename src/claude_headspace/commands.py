"""``flask --app claude_headspace ...``: the schema, and how things stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from alembic.util import CommandError
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from claude_headspace import schema
from claude_headspace.database import db
from claude_headspace.logs import masked


def register_commands(app: Flask) -> None:
    """Add the commands to *app*."""
    for command in (db_upgrade, db_downgrade, db_revision, status):
        app.cli.add_command(command)


@click.command("db-upgrade")
@click.option("--revision", default="head", show_default=True)
@with_appcontext
def db_upgrade(revision: str) -> None:
    """Create the schema, or bring it up to a revision."""
    with _connection() as connection:
        schema.upgrade(connection, revision)
        click.echo(f"The schema is at revision {schema.current_revision(connection)}.")


@click.command("db-downgrade")
@click.argument("revision")
@with_appcontext
def db_downgrade(revision: str) -> None:
    """Take the schema back to REVISION (base: drop everything)."""
    with _connection() as connection:
        schema.downgrade(connection, revision)
        click.echo(f"The schema is at revision {schema.current_revision(connection) or 'base'}.")


@click.command("db-revision")
@click.argument("message")
@click.option(
    "--migrations",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The directory of the migrations, if not the application's own.",
)
@with_appcontext
def db_revision(message: str, migrations: Path | None) -> None:
    """Write a migration to what the models say now; read it before you run it."""
    with _connection() as connection:
        click.echo(f"Written: {schema.new_revision(connection, message, migrations)}")


@click.command()
@with_appcontext
def status() -> None:
    """Show the database, its schema's revision and how many rows each table has.

    Exits with 1 if the database does not answer or its schema is not the newest.
    """
    click.echo(f"database  {masked(db.engine.url)}")
    head = schema.head_revision()
    with _connection() as connection:
        current = schema.current_revision(connection)
        version = connection.dialect.server_version_info or ()
        click.echo(f"server    PostgreSQL {'.'.join(map(str, version))}")
        click.echo(f"revision  {current or 'none'} (newest: {head})")
        if current == head:
            for table in db.metadata.sorted_tables:
                rows = connection.scalar(select(func.count()).select_from(table))
                click.echo(f"{table.name:<20}{rows:>8}")
    if current != head:
        raise click.ClickException("the schema is not the newest: run db-upgrade")


@contextmanager
def _connection() -> Iterator[Connection]:
    """Give a connection in a transaction, and say in one line why the command can't go on."""
    try:
        with db.engine.begin() as connection:
            yield connection
    except OperationalError as error:
        where = masked(db.engine.url)
        raise click.ClickException(f"{where} does not answer: {masked(str(error.orig))}") from None
    except CommandError as error:
        raise click.ClickException(str(error)) from None
    except SQLAlchemyError as error:
        raise click.ClickException(masked(str(error))) from None
