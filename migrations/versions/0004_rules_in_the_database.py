"""Let the database enforce when things end, and that one wording of an objective holds.

Revision ID: 0004
Revises: 0003

Rows that break a rule are repaired first; nothing is deleted.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CHECKS = (
    (
        "tasks",
        "ck_tasks_completed_at_set_when_complete",
        "(completed_at IS NOT NULL) = (state = 'complete')",
    ),
    ("tasks", "ck_tasks_completed_not_before_started", "completed_at >= started_at"),
    ("agents", "ck_agents_ended_not_before_started", "ended_at >= started_at"),
    (
        "objective_histories",
        "ck_objective_histories_ended_not_before_started",
        "ended_at >= started_at",
    ),
)
"""Table, name and rule of each."""


def upgrade() -> None:
    """Repair what breaks a rule, then set the rules."""
    _repair_tasks()
    _repair_ends()
    _close_all_but_the_newest_wording()
    for table, name, rule in CHECKS:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({rule})")
    op.execute(
        "CREATE UNIQUE INDEX uq_objective_histories_open ON objective_histories (objective_id) "
        "WHERE ended_at IS NULL"
    )


def downgrade() -> None:
    """Take the rules away; the repaired rows stay as they are."""
    op.drop_index("uq_objective_histories_open", "objective_histories")
    for table, name, _ in reversed(CHECKS):
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def _repair_tasks() -> None:
    """A task that is not complete has no completion time; one that is has one, not too early."""
    op.execute("UPDATE tasks SET completed_at = NULL WHERE state <> 'complete'")
    op.execute(
        """
        UPDATE tasks
        SET completed_at = greatest(
            tasks.started_at,
            coalesce(
                tasks.completed_at,
                (SELECT max(turns."timestamp") FROM turns WHERE turns.task_id = tasks.id)
            )
        )
        WHERE tasks.state = 'complete'
        """
    )


def _repair_ends() -> None:
    """What ended before it began ended when it began."""
    op.execute("UPDATE agents SET ended_at = started_at WHERE ended_at < started_at")
    op.execute("UPDATE objective_histories SET ended_at = started_at WHERE ended_at < started_at")


def _close_all_but_the_newest_wording() -> None:
    """A wording ended when the next one began."""
    op.execute(
        """
        UPDATE objective_histories AS older
        SET ended_at = later.began
        FROM (
            SELECT id, lead(started_at) OVER (
                PARTITION BY objective_id ORDER BY started_at, id
            ) AS began
            FROM objective_histories
        ) AS later
        WHERE older.id = later.id AND older.ended_at IS NULL AND later.began IS NOT NULL
        """
    )
