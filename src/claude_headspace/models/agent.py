"""An agent: one coding-agent session in a project."""

from __future__ import annotations

from datetime import datetime
from math import inf
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, func, inspect, select
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from claude_headspace.clock import now
from claude_headspace.database import Model
from claude_headspace.domain.names import agent_name
from claude_headspace.domain.states import TaskState
from claude_headspace.models.task import Task

if TYPE_CHECKING:
    from claude_headspace.models.project import Project


class Agent(Model):
    """One session of a coding agent; its UUID is its identity."""

    __tablename__ = "agents"
    __table_args__ = (
        CheckConstraint("ended_at >= started_at", name="ended_not_before_started"),
        Index(None, "project_id", "last_seen_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    session_uuid: Mapped[UUID] = mapped_column(unique=True, index=True)
    claude_session_id: Mapped[str | None] = mapped_column(index=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    iterm_pane_id: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(default=now)
    last_seen_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]

    project: Mapped[Project] = relationship(back_populates="agents")
    tasks: Mapped[list[Task]] = relationship(
        back_populates="agent",
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by=lambda: (Task.started_at.desc(), Task.id.desc()),
    )

    @property
    def name(self) -> str:
        """The project's name, a slash, and the first eight characters of the UUID."""
        return agent_name(self.project.name, self.session_uuid)

    @hybrid_property
    def state(self) -> TaskState:
        """The state of the newest task that is not complete, idle without one.

        In a query it is a subselect, computed by the database: a list of agents with their states
        is one statement. On an instance it reads ``tasks``.
        """
        waiting = [task for task in self.tasks if task.state is not TaskState.COMPLETE]
        newest = max(waiting, key=_age, default=None)
        # A task that was not flushed yet has no default yet either.
        return TaskState.IDLE if newest is None else newest.state or TaskState.IDLE

    @state.inplace.expression
    @classmethod
    def _state(cls) -> ColumnElement[TaskState]:
        newest = (
            select(Task.state)
            .where(Task.agent_id == cls.id, Task.state != TaskState.COMPLETE)
            .order_by(Task.started_at.desc(), Task.id.desc())
            .limit(1)
            .correlate_except(Task)
            .scalar_subquery()
        )
        return func.coalesce(newest, TaskState.IDLE)


def _age(task: Task) -> tuple[datetime, float]:
    # What was not flushed yet has no time and no id, and is newer than all others.
    if not inspect(task).has_identity:
        return now(), inf
    return task.started_at, task.id
