"""Add tasks.completed_at, filled from what is known of the tasks that are complete.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A complete task was completed by its last turn; one without turns, when it started."""
    op.add_column("tasks", sa.Column("completed_at", sa.DateTime(timezone=True)))
    op.execute(
        """
        UPDATE tasks
        SET completed_at = greatest(
            tasks.started_at,
            (SELECT max(turns."timestamp") FROM turns WHERE turns.task_id = tasks.id)
        )
        WHERE tasks.state = 'complete'
        """
    )


def downgrade() -> None:
    """Drop the column; going up again computes its values anew."""
    op.drop_column("tasks", "completed_at")
