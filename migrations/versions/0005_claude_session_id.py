"""Rename agents.claude_session to claude_session_id, and its index with it.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Renaming moves no data; an index keeps its old name unless it is renamed too."""
    op.alter_column("agents", "claude_session", new_column_name="claude_session_id")
    op.execute("ALTER INDEX ix_agents_claude_session RENAME TO ix_agents_claude_session_id")


def downgrade() -> None:
    """Give both their former names."""
    op.execute("ALTER INDEX ix_agents_claude_session_id RENAME TO ix_agents_claude_session")
    op.alter_column("agents", "claude_session_id", new_column_name="claude_session")
