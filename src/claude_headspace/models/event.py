"""An event: what happened, kept when what it happened to is gone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from claude_headspace.clock import now
from claude_headspace.database import Model
from claude_headspace.models.agent import Agent
from claude_headspace.models.project import Project
from claude_headspace.models.task import Task
from claude_headspace.models.turn import Turn


class Event(Model):
    """One line of the audit log.

    Deleting a project, agent, task or turn leaves its events and sets their reference to null; that
    is the database's doing, so there is no relationship from those models to here.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index(None, "project_id", "timestamp"),
        Index(None, "agent_id", "timestamp"),
        Index(None, "event_type", "timestamp"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    timestamp: Mapped[datetime] = mapped_column(default=now, index=True)
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("projects.id", ondelete="SET NULL"), index=True
    )
    agent_id: Mapped[int | None] = mapped_column(
        ForeignKey("agents.id", ondelete="SET NULL"), index=True
    )
    task_id: Mapped[int | None] = mapped_column(
        ForeignKey("tasks.id", ondelete="SET NULL"), index=True
    )
    turn_id: Mapped[int | None] = mapped_column(
        ForeignKey("turns.id", ondelete="SET NULL"), index=True
    )
    event_type: Mapped[str] = mapped_column(index=True)
    # None is the absence of a payload, not the JSON value null.
    payload: Mapped[dict[str, object] | None] = mapped_column(JSONB(none_as_null=True))

    project: Mapped[Project | None] = relationship()
    agent: Mapped[Agent | None] = relationship()
    task: Mapped[Task | None] = relationship()
    turn: Mapped[Turn | None] = relationship()
