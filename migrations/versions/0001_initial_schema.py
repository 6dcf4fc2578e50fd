"""Create projects, agents, tasks, turns, events, objectives and their history.

Revision ID: 0001
Revises:

A migration says what was true when it was written: it imports nothing of the application, and the
names that the models' naming convention gives are written out.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "objective_histories",
    "objectives",
    "events",
    "turns",
    "tasks",
    "agents",
    "projects",
)
"""Children first."""


def upgrade() -> None:
    """Create the three enum types, the seven tables and their indexes."""
    op.execute(
        "CREATE TYPE taskstate AS ENUM "
        "('idle', 'commanded', 'processing', 'awaiting_input', 'complete')"
    )
    op.execute("CREATE TYPE turnactor AS ENUM ('user', 'agent')")
    op.execute("CREATE TYPE turnintent AS ENUM ('command', 'answer', 'question', 'completion')")
    _create_projects_and_agents()
    _create_tasks_and_turns()
    _create_events()
    _create_objectives()


def downgrade() -> None:
    """Drop everything, the enum types too: a table's deletion leaves them."""
    for table in TABLES:
        op.drop_table(table)
    for enum in ("turnintent", "turnactor", "taskstate"):
        op.execute(f"DROP TYPE {enum}")


def _create_projects_and_agents() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("github_repo", sa.Text),
        sa.Column("current_branch", sa.String),
        _time("created_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("path", name="uq_projects_path"),
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("session_uuid", sa.Uuid, nullable=False),
        sa.Column("claude_session", sa.String),
        sa.Column("project_id", sa.Integer, nullable=False),
        sa.Column("iterm_pane_id", sa.String),
        _time("started_at", nullable=False),
        _time("last_seen_at", nullable=False),
        _time("ended_at"),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        _reference("agents", "project_id", "projects", "CASCADE"),
    )
    op.create_index("ix_agents_session_uuid", "agents", ["session_uuid"], unique=True)
    _create_indexes("agents", ["claude_session"], ["project_id"], ["project_id", "last_seen_at"])


def _create_tasks_and_turns() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("agent_id", sa.Integer, nullable=False),
        sa.Column("state", _enum("taskstate"), nullable=False),
        _time("started_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        _reference("tasks", "agent_id", "agents", "CASCADE"),
    )
    _create_indexes("tasks", ["agent_id"], ["state"], ["agent_id", "state"])
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("task_id", sa.Integer, nullable=False),
        sa.Column("actor", _enum("turnactor"), nullable=False),
        sa.Column("intent", _enum("turnintent"), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        _time("timestamp", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        _reference("turns", "task_id", "tasks", "CASCADE"),
    )
    _create_indexes("turns", ["task_id"], ["timestamp"], ["task_id", "timestamp"])


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, nullable=False),
        _time("timestamp", nullable=False),
        sa.Column("project_id", sa.Integer),
        sa.Column("agent_id", sa.Integer),
        sa.Column("task_id", sa.Integer),
        sa.Column("turn_id", sa.Integer),
        sa.Column("event_type", sa.String, nullable=False),
        sa.Column("payload", postgresql.JSONB),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        _reference("events", "project_id", "projects", "SET NULL"),
        _reference("events", "agent_id", "agents", "SET NULL"),
        _reference("events", "task_id", "tasks", "SET NULL"),
        _reference("events", "turn_id", "turns", "SET NULL"),
    )
    _create_indexes(
        "events",
        ["timestamp"],
        ["project_id"],
        ["agent_id"],
        ["task_id"],
        ["turn_id"],
        ["event_type"],
        ["project_id", "timestamp"],
        ["agent_id", "timestamp"],
        ["event_type", "timestamp"],
    )


def _create_objectives() -> None:
    op.create_table(
        "objectives",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("current_text", sa.Text, nullable=False),
        sa.Column("constraints", sa.Text),
        _time("set_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_objectives"),
    )
    op.create_table(
        "objective_histories",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("objective_id", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("constraints", sa.Text),
        _time("started_at", nullable=False),
        _time("ended_at"),
        sa.PrimaryKeyConstraint("id", name="pk_objective_histories"),
        _reference("objective_histories", "objective_id", "objectives", "CASCADE"),
    )
    _create_indexes("objective_histories", ["objective_id"])


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _enum(name: str) -> postgresql.ENUM:
    return postgresql.ENUM(name=name, create_type=False)


def _reference(table: str, column: str, to: str, on_delete: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{to}"
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=name, ondelete=on_delete)


def _create_indexes(table: str, *indexes: list[str]) -> None:
    for columns in indexes:
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
