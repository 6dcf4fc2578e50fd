"""Rows as JSON objects.

Times are ISO 8601 in UTC, enums their values, UUIDs text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from claude_headspace.domain.states import TaskState
from claude_headspace.models import Agent, Event, Objective, ObjectiveHistory, Project, Task, Turn
from claude_headspace.services.paging import Page

Json = dict[str, object]
"""A JSON object."""

OPEN_STATES = tuple(state for state in TaskState if state is not TaskState.COMPLETE)
"""The states an agent can be in."""


def page_json(items: Iterable[Json], page: Page) -> Json:
    """Return a part of a list, and which part it is."""
    return {"items": list(items), "limit": page.limit, "offset": page.offset}


def project_json(project: Project, agents: Mapping[TaskState, int]) -> Json:
    """Return a project with the number of its active agents in each state."""
    return {
        "id": project.id,
        "name": project.name,
        "path": project.path,
        "github_repo": project.github_repo,
        "current_branch": project.current_branch,
        "created_at": moment(project.created_at),
        "agents": {state: agents.get(state, 0) for state in OPEN_STATES},
    }


def agent_json(agent: Agent, name: str, state: TaskState) -> Json:
    """Return an agent with its name and state."""
    return {
        "id": agent.id,
        "session_uuid": str(agent.session_uuid),
        "name": name,
        "state": state,
        "project_id": agent.project_id,
        "claude_session_id": agent.claude_session_id,
        "iterm_pane_id": agent.iterm_pane_id,
        "started_at": moment(agent.started_at),
        "last_seen_at": moment(agent.last_seen_at),
        "ended_at": moment(agent.ended_at),
    }


def task_json(task: Task) -> Json:
    """Return a task, without its turns."""
    return {
        "id": task.id,
        "agent_id": task.agent_id,
        "state": task.state,
        "started_at": moment(task.started_at),
        "completed_at": moment(task.completed_at),
    }


def turn_json(turn: Turn) -> Json:
    """Return a turn."""
    return {
        "id": turn.id,
        "task_id": turn.task_id,
        "actor": turn.actor,
        "intent": turn.intent,
        "text": turn.text,
        "timestamp": moment(turn.timestamp),
    }


def event_json(event: Event) -> Json:
    """Return an event with its payload."""
    return {
        "id": event.id,
        "timestamp": moment(event.timestamp),
        "event_type": event.event_type,
        "project_id": event.project_id,
        "agent_id": event.agent_id,
        "task_id": event.task_id,
        "turn_id": event.turn_id,
        "payload": event.payload,
    }


def objective_json(objective: Objective) -> Json:
    """Return an objective as it is at present."""
    return {
        "id": objective.id,
        "current_text": objective.current_text,
        "constraints": objective.constraints,
        "set_at": moment(objective.set_at),
    }


def history_json(row: ObjectiveHistory) -> Json:
    """Return one wording of an objective."""
    return {
        "id": row.id,
        "objective_id": row.objective_id,
        "text": row.text,
        "constraints": row.constraints,
        "started_at": moment(row.started_at),
        "ended_at": moment(row.ended_at),
    }


def moment(at: datetime | None) -> str | None:
    """Return a time in UTC as ISO 8601."""
    return None if at is None else at.astimezone(UTC).isoformat()
