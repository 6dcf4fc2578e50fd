"""Tasks: found, listed, and the current one locked."""

from datetime import UTC, datetime, timedelta

from claude_headspace.domain.states import TaskState
from claude_headspace.models import Task
from claude_headspace.services.tasks import lock_current_task
from tests.integration.factories import AgentFactory, TaskFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOBODY = 2**31 - 1


def test_the_newest_open_task_is_the_current_one(db_session):
    """A newer complete one and another agent's do not count."""
    agent = AgentFactory()
    TaskFactory(agent=agent, started_at=NOON)
    current = TaskFactory(agent=agent, started_at=NOON + MINUTE)
    TaskFactory(agent=agent, started_at=NOON + 2 * MINUTE, is_complete=True)
    TaskFactory(started_at=NOON + 3 * MINUTE)

    assert lock_current_task(db_session, agent.id) is current


def test_an_agent_may_have_no_current_task(db_session):
    """All of its tasks are complete."""
    task = TaskFactory(is_complete=True)

    assert lock_current_task(db_session, task.agent_id) is None


def test_a_locked_task_is_read_anew(db_session, fresh_session):
    """What the session remembers of the task may be old; what is locked is not."""
    task = TaskFactory(state=TaskState.COMMANDED)
    db_session.commit()
    known = fresh_session.get(Task, task.id)
    task.state = TaskState.PROCESSING
    db_session.commit()
    lock_current_task(fresh_session, task.agent_id)

    assert known.state is TaskState.PROCESSING
