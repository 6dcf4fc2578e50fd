"""Agents: registered by their session's UUID, seen, ended, listed with their states."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from claude_headspace.domain.states import TaskState
from claude_headspace.models import Agent, Event, Task, Turn
from claude_headspace.services.agents import (
    delete_agent,
    end_agent,
    get_agent,
    heartbeat,
    lock_agent,
    register_agent,
)
from tests.integration.factories import (
    AgentFactory,
    EventFactory,
    ProjectFactory,
    TaskFactory,
    TurnFactory,
)

SESSION = UUID("5ca1ab1e-0000-4000-8000-000000000000")
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


# --- registering ----------------------------------------------------------------------------------


def test_a_new_uuid_is_a_new_agent(db_session, fresh_session):
    """The agent begins and is seen at the moment it is registered."""
    project = ProjectFactory()
    agent, is_new = register_agent(
        db_session, SESSION, project, claude_session_id="abc", iterm_pane_id="w0t1p2", at=NOON
    )
    db_session.commit()

    read = fresh_session.get(Agent, agent.id)
    assert is_new
    assert (read.session_uuid, read.project_id) == (SESSION, project.id)
    assert (read.claude_session_id, read.iterm_pane_id) == ("abc", "w0t1p2")
    assert (read.started_at, read.last_seen_at, read.ended_at) == (NOON, NOON, None)


def test_a_discovered_session_is_an_event(db_session, fresh_session):
    """It says where the session was found, and is written with the agent."""
    project = ProjectFactory(path="/srv/one")
    agent, _ = register_agent(
        db_session,
        SESSION,
        project,
        iterm_pane_id="w0t1p2",
        working_directory="/srv/one/src",
        at=NOON,
    )
    db_session.commit()

    event = fresh_session.scalars(select(Event)).one()
    assert (event.event_type, event.timestamp) == ("session_discovered", NOON)
    assert (event.project_id, event.agent_id) == (project.id, agent.id)
    assert event.payload == {
        "session_uuid": str(SESSION),
        "project_path": "/srv/one",
        "working_directory": "/srv/one/src",
        "iterm_pane_id": "w0t1p2",
    }


def test_an_agent_works_in_its_projects_directory_unless_it_says_otherwise(db_session):
    """What is not known is not in the payload."""
    register_agent(db_session, SESSION, ProjectFactory(path="/srv/one"))

    payload = db_session.scalar(select(Event.payload))
    assert payload["working_directory"] == "/srv/one"
    assert "iterm_pane_id" not in payload


def test_a_known_uuid_is_the_same_agent(db_session, db_connection):
    """Registering twice returns the first agent as it is, and writes no second event."""
    project = ProjectFactory()
    first, _ = register_agent(db_session, SESSION, project, claude_session_id="abc")
    second, is_new = register_agent(db_session, SESSION, project, claude_session_id="xyz")

    assert not is_new
    assert second is first
    assert db_connection.scalar(select(Agent.claude_session_id)) == "abc"
    assert db_connection.scalar(select(func.count(Event.id))) == 1


# --- locking --------------------------------------------------------------------------------------


def test_an_agent_is_locked_after_its_project(db_session, pg):
    """From the top down, as a deletion goes, so that neither waits for the other in a circle."""
    agent = AgentFactory()
    with pg.counting() as queries:
        lock_agent(db_session, agent.session_uuid)

    of_project, of_agent = queries.statements
    assert of_project.endswith("FOR KEY SHARE OF projects")
    assert of_agent.endswith("FOR NO KEY UPDATE")


def test_a_locked_agent_is_read_anew(db_session, fresh_session):
    """What the session remembers of the agent may be old; what is locked is not."""
    agent = AgentFactory(last_seen_at=NOON)
    db_session.commit()
    known = get_agent(fresh_session, agent.session_uuid)
    agent.last_seen_at = NOON + MINUTE
    db_session.commit()
    lock_agent(fresh_session, agent.session_uuid)

    assert known.last_seen_at == NOON + MINUTE


# --- states ---------------------------------------------------------------------------------------


def test_an_agent_without_tasks_is_idle(db_session):
    """The database and the loaded object say the same."""
    agent = AgentFactory()

    assert agent.state is TaskState.IDLE
    assert db_session.scalar(select(Agent.state).select_from(Agent)) == "idle"


def test_an_agent_whose_tasks_are_complete_is_idle(db_session):
    """The database and the loaded object say the same."""
    agent = TaskFactory(is_complete=True).agent

    assert agent.state is TaskState.IDLE
    assert db_session.scalar(select(Agent.state).select_from(Agent)) == "idle"


def test_the_newest_task_that_is_not_complete_is_the_agents_state(db_session):
    """A newer complete task and an older open one do not count."""
    agent = AgentFactory()
    TaskFactory(agent=agent, started_at=NOON, state=TaskState.PROCESSING)
    TaskFactory(agent=agent, started_at=NOON + MINUTE, state=TaskState.AWAITING_INPUT)
    TaskFactory(agent=agent, started_at=NOON + 2 * MINUTE, is_complete=True)

    assert agent.state is TaskState.AWAITING_INPUT
    assert db_session.scalar(select(Agent.state).select_from(Agent)) == "awaiting_input"


def test_of_tasks_that_started_at_once_the_later_one_counts(db_session):
    """The id decides where the clock can't."""
    agent = AgentFactory()
    TaskFactory(agent=agent, started_at=NOON, state=TaskState.PROCESSING)
    TaskFactory(agent=agent, started_at=NOON, state=TaskState.COMMANDED)

    assert agent.state is TaskState.COMMANDED
    assert db_session.scalar(select(Agent.state).select_from(Agent)) == "commanded"


def test_a_task_that_was_not_written_yet_is_the_newest():
    """It has no time and no state before it is flushed, and counts as idle."""
    agent = TaskFactory(state=TaskState.PROCESSING).agent
    agent.tasks.append(Task())

    assert agent.state is TaskState.IDLE


# --- seen, ended, deleted -------------------------------------------------------------------------


def test_a_heartbeat_is_remembered(db_session, db_connection):
    """The returned agent and the row say the same."""
    agent = AgentFactory(last_seen_at=NOON)
    seen = heartbeat(db_session, agent.session_uuid, at=NOON + MINUTE)

    assert seen.last_seen_at == NOON + MINUTE
    assert db_connection.scalar(select(Agent.last_seen_at)) == NOON + MINUTE


def test_a_late_heartbeat_does_not_turn_time_back(db_session, db_connection):
    """In whatever order they arrive, the latest counts."""
    agent = AgentFactory(last_seen_at=NOON)
    heartbeat(db_session, agent.session_uuid, at=NOON - MINUTE)

    assert db_connection.scalar(select(Agent.last_seen_at)) == NOON


def test_an_agent_ends(db_session, fresh_session):
    """The end is in the row, and in an event that says why and after how many seconds."""
    agent = AgentFactory(started_at=NOON)
    end_agent(db_session, agent.session_uuid, "closed", at=NOON + MINUTE)
    db_session.commit()

    event = fresh_session.scalars(select(Event)).one()
    assert event.agent.ended_at == NOON + MINUTE
    assert (event.event_type, event.timestamp) == ("session_ended", NOON + MINUTE)
    assert event.project_id == agent.project_id
    assert event.payload == {
        "session_uuid": str(agent.session_uuid),
        "reason": "closed",
        "duration_seconds": 60.0,
    }


def test_the_first_end_counts(db_session, db_connection):
    """Ending an agent again changes nothing and writes no event."""
    agent = AgentFactory(started_at=NOON, ended_at=NOON + MINUTE)
    again = end_agent(db_session, agent.session_uuid, "closed", at=NOON + 2 * MINUTE)

    assert again.ended_at == NOON + MINUTE
    assert db_connection.scalar(select(func.count(Event.id))) == 0


def test_an_agent_does_not_end_before_it_began(db_session):
    """A clock that was set back ends it at its start."""
    agent = AgentFactory(started_at=NOON)
    ended = end_agent(db_session, agent.session_uuid, "closed", at=NOON - MINUTE)

    assert ended.ended_at == NOON


def test_a_deleted_agent_takes_everything_but_its_events_along(db_session, db_connection):
    """Tasks and turns go with it, its project and the audit log stay."""
    turn = TurnFactory()
    event = EventFactory(agent=turn.task.agent)
    delete_agent(db_session, turn.task.agent.session_uuid)

    assert db_connection.scalar(select(func.count(Turn.id))) == 0
    references = select(Event.id, Event.project_id, Event.agent_id)
    assert db_connection.execute(references).one() == (event.id, event.project_id, None)
