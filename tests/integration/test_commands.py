"""``flask --app claude_headspace ...`` on the real database."""

import os
import shutil
import subprocess
import sys

import pytest
from sqlalchemy import text

from claude_headspace import create_app, schema
from claude_headspace.config import CHECKOUT
from claude_headspace.database import db
from tests.integration.factories import TurnFactory


@pytest.fixture
def flask(app):
    """Run a command of the application, with its words."""
    runner = app.test_cli_runner()

    def run(*words):
        return runner.invoke(args=words)

    return run


def test_status_shows_revision_and_rows(flask):
    """Where the database is, that it is up to date, and what is in it."""
    TurnFactory()
    shown = flask("status")

    assert shown.exit_code == 0
    assert "revision  0005 (newest: 0005)" in shown.output
    assert "turns                      1\n" in shown.output
    assert "events                     0\n" in shown.output


def test_status_shows_the_servers_version(flask, pg):
    """As far as the driver knows it."""
    major = pg.outside("show server_version_num")[:2]

    assert f"server    PostgreSQL {major}." in flask("status").output


# --8<-- [start:command]
def test_a_downgrade_is_shown_by_status(flask):
    """The command commits; status, on another connection, sees it and asks for db-upgrade."""
    downgraded = flask("db-downgrade", "0003")
    shown = flask("status")

    assert (downgraded.exit_code, shown.exit_code) == (0, 1)
    assert downgraded.output == "The schema is at revision 0003.\n"
    assert "revision  0003 (newest: 0005)" in shown.output
    assert "run db-upgrade" in shown.output


# --8<-- [end:command]


@pytest.fixture
def migrations(tmp_path):
    """A copy of the migrations, to write into."""
    return shutil.copytree(
        CHECKOUT / "migrations", tmp_path / "migrations", ignore=shutil.ignore_patterns("__*")
    )


def test_a_new_revision_follows_the_newest(flask, migrations):
    """It has the next number, and says what the models have and the database has not: nothing."""
    written = flask("db-revision", "Add nothing", "--migrations", str(migrations))
    file = migrations / "versions" / "0006_add_nothing.py"

    assert written.output.endswith(f"Written: {file}\n")
    assert "revision = '0006'\ndown_revision = '0005'" in file.read_text()
    assert "def upgrade() -> None:\n    # ### commands" in file.read_text()
    assert file.read_text().count("    pass\n") == 2


def test_a_new_revision_holds_what_the_database_lacks(flask, migrations, db_connection):
    """A column that somebody dropped by hand, say."""
    db_connection.execute(text("ALTER TABLE projects DROP COLUMN path"))
    db_connection.commit()
    flask("db-revision", "Bring back", "--migrations", str(migrations))

    written = (migrations / "versions" / "0006_bring_back.py").read_text()
    assert "op.add_column('projects', sa.Column('path'" in written


def test_a_new_revision_needs_a_database_that_is_up_to_date(flask, migrations):
    """What is missing would be written a second time."""
    flask("db-downgrade", "0004")
    refused = flask("db-revision", "Too early", "--migrations", str(migrations))

    assert refused.exit_code == 1
    assert "not up to date" in refused.output


def test_everything_is_dropped_at_the_base(flask, db_connection):
    """base is before the first revision."""
    downgraded = flask("db-downgrade", "base")

    assert downgraded.output == "The schema is at revision base.\n"
    assert db_connection.scalar(text("SELECT to_regclass('projects')")) is None
    assert "revision  none" in flask("status").output


def test_the_schema_is_created_by_migration(flask, db_connection):
    """From nothing to the newest revision."""
    flask("db-downgrade", "base")
    upgraded = flask("db-upgrade")

    assert upgraded.exit_code == 0
    assert upgraded.output == "The schema is at revision 0005.\n"
    assert schema.current_revision(db_connection) == "0005"


def test_the_schema_is_upgraded_to_a_revision(flask, db_connection):
    """Not further than it was asked for."""
    flask("db-downgrade", "base")
    upgraded = flask("db-upgrade", "--revision", "0002")

    assert upgraded.output == "The schema is at revision 0002.\n"
    assert schema.current_revision(db_connection) == "0002"


def test_a_migration_that_fails_leaves_the_schema_as_it_was(flask, db_connection):
    """All steps are one transaction, and the command says in one line what the database said."""
    flask("db-downgrade", "0004")
    db_connection.execute(text("ALTER TABLE agents RENAME claude_session TO renamed"))
    db_connection.commit()
    upgraded = flask("db-upgrade")

    assert upgraded.exit_code == 1
    assert 'column "claude_session" does not exist' in upgraded.output
    assert schema.current_revision(db_connection) == "0004"


def test_an_unknown_revision_is_refused(flask, db_connection):
    """In words, and nothing changes."""
    refused = flask("db-downgrade", "9999")

    assert refused.exit_code == 1
    assert "Error: " in refused.output
    assert "9999" in refused.output
    assert schema.current_revision(db_connection) == "0005"


def test_a_command_without_a_connection_says_so(pg):
    """All connections are in use."""
    app = create_app(
        SQLALCHEMY_DATABASE_URI=pg.url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": 0, "pool_timeout": 0},
    )
    with app.app_context(), db.engine.connect():
        shown = app.test_cli_runner().invoke(args=["status"])

    assert shown.exit_code == 1
    assert "Error: QueuePool limit" in shown.output


def test_a_command_on_a_database_that_does_not_answer_says_where():
    """One line with the masked URL. A process of its own: nothing listens on port 1."""
    shown = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "claude_headspace", "status"],
        env={**os.environ, "DATABASE_URL": "postgresql+psycopg2://me:secret@127.0.0.1:1/nothing"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert shown.returncode == 1
    assert "postgresql+psycopg2://me:***@127.0.0.1:1/nothing does not answer" in shown.stderr
    assert "secret" not in shown.stdout + shown.stderr
