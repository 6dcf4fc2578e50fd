"""The migrations, run for real in the test's transaction: PostgreSQL rolls DDL back as well.

The test database is at the newest revision; each test goes from there. What every migration has to
keep, each step down and up, models, offline SQL, is in test_every_migration.py.
"""

from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text

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


@pytest.fixture(autouse=True)
def in_the_application(app):
    """Flask-Migrate asks for the current application."""
    with app.app_context():
        yield


# --- up and down ----------------------------------------------------------------------------------


# --8<-- [start:down_and_up]
def test_everything_is_there_again_after_going_down_and_up(db_connection):
    """From the newest revision to nothing and back."""
    downgrade(revision="base")
    at_the_base = inspect(db_connection).get_table_names()
    upgrade()

    context = MigrationContext.configure(db_connection)
    assert at_the_base == ["alembic_version"]
    assert context.get_current_revision() == "0005"
    assert compare_metadata(context, db.metadata) == []


# --8<-- [end:down_and_up]


# --8<-- [start:ddl_is_undone]
@pytest.mark.parametrize("run", ["once", "again"])
def test_a_downgrade_is_gone_with_its_test(run, pg):
    """Committed in the test, and nobody outside has noticed."""
    downgrade(revision="base")

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
    db_session.commit()
    downgrade(revision="0001")
    upgrade()

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
    db_session.commit()
    downgrade(revision="0002")

    rows = db_connection.execute(text("SELECT text, intent::text FROM turns ORDER BY id"))
    assert rows.all() == [("command", "command"), ("progress", "completion")]


def test_0004_repairs_what_breaks_its_rules(db_session, db_connection):
    """An end before the start becomes the start; a task's completion follows its state."""
    AgentFactory(started_at=NOON)
    TaskFactory(state=TaskState.PROCESSING, started_at=NOON)
    complete = TaskFactory(is_complete=True, started_at=NOON)
    TurnFactory(task=complete, timestamp=NOON + MINUTE)
    db_session.commit()
    downgrade(revision="0003")
    db_connection.execute(text("UPDATE agents SET ended_at = started_at - interval '1 second'"))
    db_connection.execute(
        text("UPDATE tasks SET completed_at = CASE WHEN state <> 'complete' THEN started_at END")
    )
    db_connection.commit()
    upgrade()

    tasks = db_connection.execute(text("SELECT state::text, completed_at FROM tasks ORDER BY id"))
    assert tasks.all() == [("processing", None), ("complete", NOON + MINUTE)]
    assert db_connection.scalar(text("SELECT bool_and(ended_at = started_at) FROM agents"))


def test_0004_closes_all_wordings_but_the_newest(db_session, db_connection):
    """Each ended when the next one began."""
    history = ObjectiveHistoryFactory(started_at=NOON)
    db_session.commit()
    downgrade(revision="0003")
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
    db_connection.commit()
    upgrade()

    ends = db_connection.scalars(text("SELECT ended_at FROM objective_histories ORDER BY id"))
    assert ends.all() == [NOON + MINUTE, NOON + 2 * MINUTE, None]
