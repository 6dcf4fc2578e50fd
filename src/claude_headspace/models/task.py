"""A task: what an agent was told to do, from the command to its completion."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from claude_headspace.clock import now
from claude_headspace.database import Model
from claude_headspace.domain.states import TaskState
from claude_headspace.models.turn import Turn
from claude_headspace.models.vocabulary import vocabulary

if TYPE_CHECKING:
    from claude_headspace.models.agent import Agent


class Task(Model):
    """One command and everything said about it until it is complete."""

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint(
            "(completed_at IS NOT NULL) = (state = 'complete')",
            name="completed_at_set_when_complete",
        ),
        CheckConstraint("completed_at >= started_at", name="completed_not_before_started"),
        Index(None, "agent_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), index=True)
    state: Mapped[TaskState] = mapped_column(
        vocabulary(TaskState, "taskstate"), default=TaskState.IDLE, index=True
    )
    started_at: Mapped[datetime] = mapped_column(default=now)
    completed_at: Mapped[datetime | None]

    agent: Mapped[Agent] = relationship(back_populates="tasks")
    turns: Mapped[list[Turn]] = relationship(
        back_populates="task",
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by=lambda: (Turn.timestamp, Turn.id),
    )
