"""The migrations, run for real in the test's transaction: PostgreSQL rolls DDL back as well.

The test database is at the newest revision; each test goes from there.
"""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from claude_headspace import schema
from claude_headspace.config import CHECKOUT
from claude_headspace.database import db
from claude_headspace.domain.states import TaskState
from tests.integration.factories import (
    AgentFactory,
    ObjectiveHistoryFactory,
    TaskFactory,
    TurnFactory,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

STEPS = [("0005", "0004"), ("0004", "0003"), ("0003", "0002"), ("0002", "0001"), ("0001", "base")]
TABLES = {
    "agents",
    "alembic_version",
    "events",
    "objective_histories",
    "objectives",
    "projects",
    "tasks",
    "turns",
}


@pytest.fixture
def connection(db_engine):
    """A connection of the code under test, in a transaction that nobody commits."""
    with db_engine.connect() as connection:
        yield connection


@pytest.fixture
def offline():
    """Alembic's configuration for writing SQL, and where it is written."""
    written = StringIO()
    configuration = Config(output_buffer=written)
    configuration.set_main_option("script_location", str(CHECKOUT / "migrations"))
    return configuration, written


# --- up and down ----------------------------------------------------------------------------------


def test_the_test_database_is_at_the_newest_revision(connection):
    """The tests run on what the migrations made."""
    assert schema.current_revision(connection) == schema.head_revision() == "0005"


def test_there_is_one_newest_revision():
    """Two heads would mean that two people's migrations were never put in order."""
    scripts = ScriptDirectory(str(CHECKOUT / "migrations"))

    assert scripts.get_heads() == ["0005"]


def test_the_migrations_make_what_the_models_say(connection):
    """Alembic, comparing the two, finds nothing to do."""
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})

    assert compare_metadata(context, db.metadata) == []


def test_nothing_is_left_at_the_base(connection):
    """Neither a table nor an enum type."""
    schema.downgrade(connection, "base")

    assert inspect(connection).get_table_names() == ["alembic_version"]
    assert inspect(connection).get_enums() == []
    assert schema.current_revision(connection) is None


# --8<-- [start:down_and_up]
def test_everything_is_there_again_after_going_down_and_up(connection):
    """From the newest revision to nothing and back, in one transaction."""
    schema.downgrade(connection, "base")
    schema.upgrade(connection)

    assert set(inspect(connection).get_table_names()) == TABLES
    context = MigrationContext.configure(connection)
    assert compare_metadata(context, db.metadata) == []


# --8<-- [end:down_and_up]


@pytest.mark.parametrize(("revision", "below"), STEPS)
def test_each_step_goes_down_and_up_again(revision, below, connection):
    """No step needs another one to repair it."""
    schema.downgrade(connection, revision)
    schema.downgrade(connection, below)
    schema.upgrade(connection, revision)

    assert schema.current_revision(connection) == revision


# --8<-- [start:ddl_is_undone]
@pytest.mark.parametrize("run", ["once", "again"])
def test_a_downgrade_is_gone_with_its_test(run, db_engine, pg):
    """Committed in the test, and nobody outside has noticed."""
    with db_engine.begin() as connection:
        schema.downgrade(connection, "base")

    assert pg.outside("select to_regclass('projects')::text") == "projects"


# --8<-- [end:ddl_is_undone]


# --- what becomes of the rows ---------------------------------------------------------------------


def test_0002_fills_the_completion_time_from_the_last_turn(db_session, db_connection):
    """Of complete tasks; the others have none."""
    complete = TaskFactory(is_complete=True, started_at=NOON)
    TurnFactory(task=complete, timestamp=NOON + MINUTE)
    TurnFactory(task=complete, timestamp=NOON + 2 * MINUTE)
    open_task = TaskFactory(started_at=NOON)
    TurnFactory(task=open_task, timestamp=NOON + MINUTE)
    without_turns = TaskFactory(is_complete=True, started_at=NOON)
    schema.downgrade(db_connection, "0001")
    schema.upgrade(db_connection)

    rows = db_connection.execute(text("SELECT id, completed_at FROM tasks ORDER BY id"))
    assert rows.all() == [
        (complete.id, NOON + 2 * MINUTE),
        (open_task.id, None),
        (without_turns.id, NOON),
    ]


def test_0003_makes_progress_a_completion_on_the_way_down(db_session, db_connection):
    """Every other intent stays what it is."""
    TurnFactory(text="command")
    TurnFactory(text="progress", is_progress=True)
    schema.downgrade(db_connection, "0002")

    rows = db_connection.execute(text("SELECT text, intent::text FROM turns ORDER BY id"))
    assert rows.all() == [("command", "command"), ("progress", "completion")]


def test_0003_adds_progress_at_the_end(connection):
    """Down and up again, the words have the same order."""
    schema.downgrade(connection, "0002")
    schema.upgrade(connection, "0003")

    words = connection.scalars(
        text(
            "SELECT enumlabel FROM pg_enum WHERE enumtypid = 'turnintent'::regtype "
            "ORDER BY enumsortorder"
        )
    )
    assert words.all() == ["command", "answer", "question", "completion", "progress"]


def test_0004_repairs_what_breaks_its_rules(db_session, db_connection):
    """An end before the start becomes the start; a task's completion follows its state."""
    AgentFactory(started_at=NOON)
    TaskFactory(state=TaskState.PROCESSING, started_at=NOON)
    complete = TaskFactory(is_complete=True, started_at=NOON)
    TurnFactory(task=complete, timestamp=NOON + MINUTE)
    schema.downgrade(db_connection, "0003")
    db_connection.execute(text("UPDATE agents SET ended_at = started_at - interval '1 second'"))
    db_connection.execute(
        text("UPDATE tasks SET completed_at = CASE WHEN state <> 'complete' THEN started_at END")
    )
    schema.upgrade(db_connection)

    tasks = db_connection.execute(text("SELECT state::text, completed_at FROM tasks ORDER BY id"))
    assert tasks.all() == [("processing", None), ("complete", NOON + MINUTE)]
    assert db_connection.scalar(text("SELECT bool_and(ended_at = started_at) FROM agents"))


def test_0004_closes_all_wordings_but_the_newest(db_session, db_connection):
    """Each ended when the next one began."""
    history = ObjectiveHistoryFactory(started_at=NOON)
    schema.downgrade(db_connection, "0003")
    db_connection.execute(
        text(
            "INSERT INTO objective_histories (objective_id, text, started_at) "
            "VALUES (:objective, 'next', :later), (:objective, 'newest', :latest)"
        ),
        {
            "objective": history.objective_id,
            "later": NOON + MINUTE,
            "latest": NOON + 2 * MINUTE,
        },
    )
    schema.upgrade(db_connection)

    ends = db_connection.scalars(text("SELECT ended_at FROM objective_histories ORDER BY id"))
    assert ends.all() == [NOON + MINUTE, NOON + 2 * MINUTE, None]


def test_0005_renames_and_loses_nothing(db_session, db_connection):
    """The column has its old name below, with the same value in it."""
    AgentFactory(claude_session_id="abc")
    schema.downgrade(db_connection, "0004")

    assert db_connection.scalar(text("SELECT claude_session FROM agents")) == "abc"


# --- offline --------------------------------------------------------------------------------------


def test_the_migrations_can_be_written_as_sql(offline):
    """For those who may not run them themselves: one transaction, from nothing to the newest."""
    configuration, written = offline
    command.upgrade(configuration, "head", sql=True)

    sql = written.getvalue()
    assert sql.startswith("BEGIN;")
    assert sql.rstrip().endswith("COMMIT;")
    assert "CREATE TABLE objective_histories" in sql
    assert "UPDATE alembic_version SET version_num='0005'" in sql


def test_the_written_sql_makes_the_same_schema(offline, connection):
    """Run on an empty database, it ends where the migrations end."""
    configuration, written = offline
    command.upgrade(configuration, "head", sql=True)
    script = written.getvalue().replace("BEGIN;", "").replace("COMMIT;", "")
    schema.downgrade(connection, "base")
    connection.exec_driver_sql("DROP TABLE alembic_version")
    connection.exec_driver_sql(script)

    assert schema.current_revision(connection) == "0005"
    assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []


def test_the_way_down_can_be_written_as_sql(offline):
    """Back to nothing."""
    configuration, written = offline
    command.downgrade(configuration, "head:base", sql=True)

    assert "DROP TABLE projects" in written.getvalue()
    assert "DROP TYPE taskstate" in written.getvalue()
