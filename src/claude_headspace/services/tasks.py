"""Tasks: read, and the current one found under its lock."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from claude_headspace.domain.states import TaskState
from claude_headspace.errors import NotFound
from claude_headspace.models import Task
from claude_headspace.services.paging import Page


def get_task(session: Session, task_id: int) -> Task:
    """Return the task, or raise :class:`NotFound`."""
    task = session.get(Task, task_id)
    if task is None:
        raise NotFound(f"there is no task {task_id}")
    return task


def list_tasks(
    session: Session,
    *,
    agent_id: int | None = None,
    state: TaskState | None = None,
    page: Page = Page(),
) -> list[Task]:
    """Return tasks, the newest first."""
    statement = select(Task)
    if agent_id is not None:
        statement = statement.where(Task.agent_id == agent_id)
    if state is not None:
        statement = statement.where(Task.state == state)
    statement = statement.order_by(Task.started_at.desc(), Task.id.desc())
    return list(session.scalars(statement.limit(page.limit).offset(page.offset)))


def lock_current_task(session: Session, agent_id: int) -> Task | None:
    """Return the agent's newest task that is not complete, as it is now, and hold its row.

    Whoever calls this holds the agent's row already. Without that, a caller that waited here would
    find the task it waited for complete and miss the one made meanwhile: PostgreSQL looks at the
    locked row again, not at the query (manual, 13.2.1).
    """
    statement = (
        select(Task)
        .where(Task.agent_id == agent_id, Task.state != TaskState.COMPLETE)
        .order_by(Task.started_at.desc(), Task.id.desc())
        .limit(1)
        .with_for_update()
    )
    return session.scalars(statement, execution_options={"populate_existing": True}).one_or_none()
