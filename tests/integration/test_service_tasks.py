"""Tasks: found, listed, and the current one locked."""

from datetime import UTC, datetime, timedelta

import pytest

from claude_headspace.domain.states import TaskState
from claude_headspace.errors import NotFound
from claude_headspace.models import Task
from claude_headspace.services.paging import Page
from claude_headspace.services.tasks import get_task, list_tasks, lock_current_task
from tests.integration.factories import AgentFactory, TaskFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOBODY = 2**31 - 1


def test_a_task_is_found_by_its_id(db_session):
    """The service returns the row itself."""
    task = TaskFactory()

    assert get_task(db_session, task.id) is task


def test_a_task_that_is_not_there_is_not_found(db_session):
    """The error says which one was asked for."""
    with pytest.raises(NotFound, match=f"no task {NOBODY}"):
        get_task(db_session, NOBODY)


def test_tasks_are_listed_newest_first(db_session):
    """Of all agents."""
    older = TaskFactory(started_at=NOON)
    newer = TaskFactory(started_at=NOON + MINUTE)

    assert list_tasks(db_session) == [newer, older]


def test_tasks_of_one_agent_are_listed(db_session):
    """Other agents' tasks are left out."""
    task, _ = TaskFactory.create_batch(2)

    assert list_tasks(db_session, agent_id=task.agent_id) == [task]


def test_tasks_in_one_state_are_listed(db_session):
    """Tasks in other states are left out."""
    TaskFactory(state=TaskState.PROCESSING)
    waiting = TaskFactory(state=TaskState.AWAITING_INPUT)

    assert list_tasks(db_session, state=TaskState.AWAITING_INPUT) == [waiting]


def test_a_part_of_the_tasks_is_listed(db_session):
    """Limit and offset are the database's."""
    TaskFactory(started_at=NOON)
    second = TaskFactory(started_at=NOON + MINUTE)
    TaskFactory(started_at=NOON + 2 * MINUTE)

    assert list_tasks(db_session, page=Page(limit=1, offset=1)) == [second]


def test_tasks_are_listed_by_one_statement(db_session, pg):
    """However many agents they belong to."""
    TaskFactory.create_batch(20)
    with pg.counting() as queries:
        list_tasks(db_session)

    assert len(queries) == 1


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
