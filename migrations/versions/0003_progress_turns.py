"""Add the turn intent progress.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the value at the end.

    Since PostgreSQL 12 this works inside a transaction, so all revisions can run in one; the value
    may not be used before that is committed, and no later revision does (manual, ALTER TYPE).
    """
    op.execute("ALTER TYPE turnintent ADD VALUE 'progress'")


def downgrade() -> None:
    """Make the type anew without the value: PostgreSQL can't take one out of an enum.

    What an agent said was a completion then unless it was a question, so that is what its progress
    becomes. Which turns these were is lost.
    """
    op.execute("ALTER TYPE turnintent RENAME TO turnintent_with_progress")
    op.execute("CREATE TYPE turnintent AS ENUM ('command', 'answer', 'question', 'completion')")
    op.execute(
        """
        ALTER TABLE turns ALTER COLUMN intent TYPE turnintent USING (
            CASE intent::text WHEN 'progress' THEN 'completion' ELSE intent::text END
        )::turnintent
        """
    )
    op.execute("DROP TYPE turnintent_with_progress")
