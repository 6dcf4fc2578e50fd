"""Agents: registered by their session's UUID, seen, and ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from claude_headspace.clock import now
from claude_headspace.domain.names import agent_name
from claude_headspace.domain.payloads import EventType
from claude_headspace.domain.states import TaskState
from claude_headspace.errors import Conflict, NotFound
from claude_headspace.models import Agent, Project
from claude_headspace.services.event_writer import NewEvent, write_event
from claude_headspace.services.paging import Page


@dataclass(frozen=True)
class AgentOverview:
    """An agent with what is not stored in its row."""

    agent: Agent
    name: str
    state: TaskState


def register_agent(
    session: Session,
    session_uuid: UUID,
    project: Project,
    *,
    claude_session_id: str | None = None,
    iterm_pane_id: str | None = None,
    working_directory: str | None = None,
    at: datetime | None = None,
) -> tuple[Agent, bool]:
    """Return the agent of that session, and whether it was made just now.

    An agent that exists is returned as it is. When two register one UUID at once, the second waits
    for the first to commit and gets the first one's agent. Whoever makes it writes
    ``session_discovered``, in the same transaction.

    :raises Conflict: if the session is already an agent of another project.
    """
    at = at or now()
    values = {
        "session_uuid": session_uuid,
        "project_id": project.id,
        "claude_session_id": claude_session_id,
        "iterm_pane_id": iterm_pane_id,
        "started_at": at,
        "last_seen_at": at,
    }
    # As in register_project: one statement that returns the row whether it was there or not.
    statement = (
        insert(Agent)
        .values(values)
        .on_conflict_do_update(
            index_elements=[Agent.session_uuid], set_={"project_id": Agent.project_id}
        )
        .returning(Agent, literal_column("agents.xmax = 0", Boolean))
    )
    agent, is_new = session.execute(statement).one()
    if agent.project_id != project.id:
        raise Conflict(f"agent {session_uuid} belongs to project {agent.project_id}")
    if is_new:
        _write_discovered(session, agent, project, working_directory or project.path)
    return agent, is_new


def get_agent(session: Session, session_uuid: UUID) -> Agent:
    """Return the agent of that session, or raise :class:`NotFound`."""
    agent = session.scalars(select(Agent).where(Agent.session_uuid == session_uuid)).one_or_none()
    if agent is None:
        raise NotFound(f"there is no agent {session_uuid}")
    return agent


def lock_agent(session: Session, session_uuid: UUID) -> Agent:
    """Return the agent as it is now, and hold its row until the transaction ends.

    Locks are taken from the top down, the project's first and only against its deletion: a deletion
    goes the same way, so that neither can wait for the other in a circle.

    :raises NotFound: if there is no such agent, or it was deleted while this waited.
    """
    session.execute(
        select(Project.id)
        .join(Project.agents)
        .where(Agent.session_uuid == session_uuid)
        .with_for_update(read=True, key_share=True, of=Project)
    )
    # FOR NO KEY UPDATE: rows that refer to the agent may still be written by others.
    statement = (
        select(Agent).where(Agent.session_uuid == session_uuid).with_for_update(key_share=True)
    )
    agent = session.scalars(statement, execution_options={"populate_existing": True}).one_or_none()
    if agent is None:
        raise NotFound(f"there is no agent {session_uuid}")
    return agent


def list_agents(
    session: Session,
    *,
    project_id: int | None = None,
    active: bool | None = None,
    page: Page = Page(),
) -> list[AgentOverview]:
    """Return agents with their names and states, the one seen last first.

    One statement, however many agents and tasks there are. *active* keeps those that have not
    ended, or those that have.
    """
    statement = select(Agent, Project.name, Agent.state).join(Agent.project)
    if project_id is not None:
        statement = statement.where(Agent.project_id == project_id)
    if active is not None:
        statement = statement.where(Agent.ended_at.is_(None) == active)
    statement = (
        statement.order_by(Agent.last_seen_at.desc(), Agent.id.desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    return [
        AgentOverview(agent, agent_name(project_name, agent.session_uuid), TaskState(state))
        for agent, project_name, state in session.execute(statement)
    ]


def heartbeat(session: Session, session_uuid: UUID, *, at: datetime | None = None) -> Agent:
    """Note that the agent was seen, and return it.

    ``last_seen_at`` never goes back, in whatever order heartbeats arrive: the database compares.

    :raises Conflict: if the agent has ended.
    """
    agent = lock_agent(session, session_uuid)
    if agent.ended_at is not None:
        raise Conflict(f"agent {session_uuid} has ended")
    seen = func.greatest(Agent.last_seen_at, at or now())
    session.execute(
        update(Agent).where(Agent.id == agent.id).values(last_seen_at=seen),
        execution_options={"synchronize_session": "fetch"},
    )
    return agent


def end_agent(
    session: Session, session_uuid: UUID, reason: str, *, at: datetime | None = None
) -> Agent:
    """End the agent, write ``session_ended`` in the same transaction, and return the agent.

    An agent that has ended is returned as it is: the first end counts.
    """
    agent = lock_agent(session, session_uuid)
    if agent.ended_at is not None:
        return agent
    # A clock that was set back must not end an agent before it began.
    agent.ended_at = max(at or now(), agent.started_at)
    session.flush()
    write_event(
        session,
        NewEvent(
            EventType.SESSION_ENDED,
            {
                "session_uuid": str(agent.session_uuid),
                "reason": reason,
                "duration_seconds": (agent.ended_at - agent.started_at).total_seconds(),
            },
            project_id=agent.project_id,
            agent_id=agent.id,
            timestamp=agent.ended_at,
        ),
    )
    return agent


def delete_agent(session: Session, session_uuid: UUID) -> None:
    """Delete the agent with its tasks and turns; its events stay."""
    session.delete(get_agent(session, session_uuid))
    session.flush()


def _write_discovered(
    session: Session, agent: Agent, project: Project, working_directory: str
) -> None:
    payload: dict[str, object] = {
        "session_uuid": str(agent.session_uuid),
        "project_path": project.path,
        "working_directory": working_directory,
    }
    if agent.iterm_pane_id is not None:
        payload["iterm_pane_id"] = agent.iterm_pane_id
    write_event(
        session,
        NewEvent(
            EventType.SESSION_DISCOVERED,
            payload,
            project_id=project.id,
            agent_id=agent.id,
            timestamp=agent.started_at,
        ),
    )
