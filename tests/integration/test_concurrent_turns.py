"""What only separate connections can show: two deliveries at the same instant.

Each test here has a database of its own, with real transactions and real locks.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from claude_headspace.domain.states import TurnActor
from claude_headspace.models import Event, Project, Task, Turn
from claude_headspace.services.agents import register_agent
from claude_headspace.services.projects import register_project
from claude_headspace.services.tasks import lock_current_task
from claude_headspace.services.turns import process_turn
from tests.integration.factories import AgentFactory, ProjectFactory, TaskFactory

pytestmark = pytest.mark.pgsandbox(isolation="clone")


# --8<-- [start:two_turns]
def test_two_commands_at_once_make_one_task(db_session, db_engine):
    """The second delivery waits for the first, so an agent without a task gets only one."""
    agent = AgentFactory().session_uuid
    db_session.commit()
    start = Barrier(2)

    def deliver(words):
        with Session(db_engine) as session:
            start.wait()
            process_turn(session, agent, TurnActor.USER, words)
            session.commit()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(deliver, ["Write the tests", "Write the docs"]))

    assert db_session.scalar(select(func.count(Task.id))) == 1
    # --8<-- [end:two_turns]
    assert db_session.scalar(select(func.count(Turn.id))) == 1
    transitions = select(func.count(Event.id)).where(Event.event_type == "state_transition")
    assert db_session.scalar(transitions) == 1


def test_a_task_is_locked_while_a_turn_is_processed(db_session, db_engine):
    """Another transaction can't take the row before the first one ends."""
    task = TaskFactory()
    db_session.commit()

    with Session(db_engine) as first, Session(db_engine) as second:
        lock_current_task(first, task.agent_id)
        second.execute(text("SET lock_timeout = '50ms'"))

        with pytest.raises(OperationalError, match="lock timeout"):
            lock_current_task(second, task.agent_id)


def test_an_agent_registered_twice_at_once_is_one(db_session, db_engine):
    """So is its project; both callers get the agent, and one of them created it."""
    start = Barrier(2)

    def register(pane):
        with Session(db_engine) as session:
            start.wait()
            project, project_is_new = register_project(session, "/srv/one")
            _, agent_is_new = register_agent(session, UUID(int=1), project, iterm_pane_id=pane)
            session.commit()
            return project_is_new, agent_is_new

    with ThreadPoolExecutor(2) as threads:
        registered = list(threads.map(register, ["one", "other"]))

    assert sorted(registered) == [(False, False), (True, True)]
    assert db_session.scalar(select(func.count(Project.id))) == 1
    assert db_session.scalar(select(func.count(Event.id))) == 1


def test_a_project_that_is_deleted_meanwhile_is_made_anew(db_session, db_engine):
    """Whether the registration comes before the deletion's commit, and waits, or after it."""
    gone = ProjectFactory(path="/srv/one")
    db_session.commit()
    db_session.delete(gone)
    db_session.flush()

    def register():
        with Session(db_engine) as session:
            _, is_new = register_project(session, "/srv/one")
            session.commit()
            return is_new

    with ThreadPoolExecutor(1) as threads:
        registered = threads.submit(register)
        db_session.commit()

    assert registered.result()
    assert db_session.scalars(select(Project.path)).all() == ["/srv/one"]


def test_what_is_committed_is_committed_for_real(db_session, pg):
    """A connection from outside sees it: nothing is rolled back, the database is dropped."""
    AgentFactory()
    db_session.commit()

    assert pg.outside("select count(*) from agents") == 1


def test_no_clone_has_rows_of_another(db_session):
    """The agent above was in another database."""
    assert db_session.scalar(select(func.count(Project.id))) == 0
