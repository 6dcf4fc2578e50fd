"""``flask --app claude_headspace ...`` on the real database."""

import os
import shutil
import subprocess
import sys

import pytest
from sqlalchemy import func, select, text

from claude_headspace import create_app
from claude_headspace.config import CHECKOUT
from claude_headspace.database import db
from claude_headspace.domain.states import TaskState
from claude_headspace.models import Agent, Event, Project, Turn
from tests.integration.factories import TurnFactory


@pytest.fixture
def flask(app):
    """Run a command of the application, with its words."""
    runner = app.test_cli_runner()

    def run(*words):
        return runner.invoke(args=words)

    return run


@pytest.fixture
def migrations(tmp_path):
    """A copy of the migrations, to write into."""
    return shutil.copytree(
        CHECKOUT / "migrations", tmp_path / "migrations", ignore=shutil.ignore_patterns("__*")
    )


# --- how things stand -----------------------------------------------------------------------------


def test_status_shows_server_revision_and_rows(flask, pg):
    """Where the database is, that it is up to date, and what is in it."""
    TurnFactory()
    major = pg.outside("show server_version_num")[:2]
    shown = flask("status")

    assert shown.exit_code == 0
    assert f"server    PostgreSQL {major}." in shown.output
    assert "revision  0005 (newest: 0005)" in shown.output
    assert "turns                      1\n" in shown.output
    assert "events                     0\n" in shown.output


# --8<-- [start:command]
def test_a_downgrade_is_shown_by_status(flask):
    """The command commits; status, on another connection, sees it and asks for an upgrade."""
    downgraded = flask("db", "downgrade", "0003")
    shown = flask("status")

    assert (downgraded.exit_code, shown.exit_code) == (0, 1)
    assert "revision  0003 (newest: 0005)" in shown.output
    assert "run db upgrade" in shown.output


# --8<-- [end:command]


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


# --- demo data ------------------------------------------------------------------------------------


def test_the_demo_has_an_agent_in_every_state(flask, db_session):
    """Told through the services: every turn was valid, and each has its event."""
    loaded = flask("demo")

    states = set(db_session.scalars(select(Agent.state).select_from(Agent)))
    turns = select(func.count(Turn.id))
    moves = select(func.count(Event.id)).where(Event.event_type == "state_transition")
    assert loaded.output == "6 agents with their tasks and turns\n"
    assert states == set(TaskState) - {TaskState.COMPLETE}
    assert db_session.scalar(turns) == db_session.scalar(moves) == 18


def test_the_demo_is_loaded_once(flask, db_session):
    """The second time nothing is missing, the third time one project is."""
    flask("demo")
    second = flask("demo")
    db_session.delete(db_session.scalars(select(Project).filter_by(name="handbook")).one())
    db_session.commit()
    third = flask("demo")

    assert second.output == "Nothing is missing.\n"
    assert third.output == "2 agents with their tasks and turns\n"
    assert db_session.scalar(select(func.count(Agent.id))) == 6


def test_the_demo_needs_the_schema(flask):
    """One line says what the database said."""
    flask("db", "downgrade", "base")
    refused = flask("demo")

    assert refused.exit_code == 1
    assert 'relation "projects" does not exist' in refused.output


# --- the schema -----------------------------------------------------------------------------------


def test_the_schema_is_dropped_and_created_by_migration(flask, db_connection):
    """From the newest revision to nothing, to a revision in between, and back."""
    flask("db", "downgrade", "base")
    nothing = flask("status").output
    flask("db", "upgrade", "0002")
    between = flask("status").output
    flask("db", "upgrade")

    assert "revision  none" in nothing
    assert "revision  0002" in between
    assert "revision  0005" in flask("status").output


def test_a_new_revision_holds_what_the_database_lacks(flask, migrations, db_connection):
    """It has the next number; a column that somebody dropped by hand, say, is brought back."""
    db_connection.execute(text("ALTER TABLE projects DROP COLUMN path"))
    db_connection.commit()
    flask("db", "migrate", "-m", "Bring back", "-d", str(migrations))

    written = (migrations / "versions" / "0006_bring_back.py").read_text()
    assert "op.add_column('projects', sa.Column('path'" in written
    assert "revision = '0006'\ndown_revision = '0005'" in written


def test_no_revision_is_written_where_nothing_is_lacking(flask, migrations):
    """What the models say the migrations have made."""
    written = flask("db", "migrate", "-m", "Add nothing", "-d", str(migrations))

    assert written.exit_code == 0
    assert list(migrations.glob("versions/0006*")) == []


def test_a_new_revision_needs_a_database_that_is_up_to_date(flask, migrations, caplog):
    """What is missing would be written a second time."""
    flask("db", "downgrade", "0004")
    refused = flask("db", "migrate", "-m", "Too early", "-d", str(migrations))

    assert refused.exit_code == 1
    assert "not up to date" in caplog.text


def test_a_migration_that_fails_leaves_the_schema_as_it_was(flask, db_connection):
    """All steps are one transaction."""
    flask("db", "downgrade", "0003")
    db_connection.execute(text("ALTER TABLE agents RENAME claude_session TO renamed"))
    db_connection.commit()
    upgraded = flask("db", "upgrade")

    assert upgraded.exit_code == 1
    assert 'column "claude_session" does not exist' in str(upgraded.exception)
    assert "revision  0003" in flask("status").output


def test_an_unknown_revision_is_refused(flask, caplog):
    """In words, and nothing changes."""
    refused = flask("db", "downgrade", "9999")

    assert refused.exit_code == 1
    assert "Can't locate revision identified by '9999'" in caplog.text
    assert "revision  0005" in flask("status").output


def test_the_migrations_can_be_written_as_sql():
    """For those who may not run them themselves: one transaction, from nothing to the newest."""
    written = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head", "--sql"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    assert written.startswith("BEGIN;")
    assert written.rstrip().endswith("COMMIT;")
    assert "CREATE TABLE objective_histories" in written
    assert "UPDATE alembic_version SET version_num='0005'" in written


@pytest.mark.pgsandbox(isolation="clone")
def test_alembic_by_itself_runs_the_same_migrations(pg):
    """A process of its own, which takes the application's URL and its ini file."""
    down = subprocess.run(
        [sys.executable, "-m", "alembic", "downgrade", "0004"],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": pg.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert down.returncode == 0, down.stderr
    assert "Running downgrade 0005 -> 0004" in down.stderr
    assert pg.outside("select version_num from alembic_version") == "0004"
