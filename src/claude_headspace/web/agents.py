"""``/api/agents``; an agent is addressed by its session's UUID."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue
from pydantic import StrictBool

from claude_headspace.domain.validation import Filled, Id, Uuid, says
from claude_headspace.models import Agent
from claude_headspace.services import agents, projects
from claude_headspace.web.presentation import Json, agent_json, page_json
from claude_headspace.web.requests import Listing, Request, body, query
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("agents", __name__, url_prefix="/api/agents")


class Agents(Listing):
    """Which agents are wanted."""

    project_id: Id | None = None
    active: Annotated[StrictBool, says("must be true or false")] | None = None


class NewAgent(Request):
    """An agent by its session, and where it works."""

    session_uuid: Uuid
    project_path: Filled
    claude_session_id: Filled | None = None
    iterm_pane_id: Filled | None = None
    working_directory: Filled | None = None


class End(Request):
    """Why an agent ends."""

    reason: Filled


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return agents with their states, the one seen last first."""
    wanted = query(Agents)
    with transaction() as session:
        found = agents.list_agents(
            session, project_id=wanted.project_id, active=wanted.active, page=wanted.page
        )
        items = (agent_json(o.agent, o.name, o.state) for o in found)
        return jsonify(page_json(items, wanted.page))


@blueprint.post("")
def register() -> ResponseReturnValue:
    """Register an agent, and the project at its path: 201 if the agent is new, else 200."""
    given = body(NewAgent)
    with transaction() as session:
        project, _ = projects.register_project(session, given.project_path)
        agent, created = agents.register_agent(
            session, project=project, **given.model_dump(exclude={"project_path"})
        )
        answer = _present(agent)
    location = url_for(".show", session_uuid=given.session_uuid)
    return jsonify(answer), 201 if created else 200, {"Location": location}


@blueprint.get("/<uuid:session_uuid>")
def show(session_uuid: UUID) -> ResponseReturnValue:
    """Return one agent."""
    with transaction() as session:
        return jsonify(_present(agents.get_agent(session, session_uuid)))


@blueprint.post("/<uuid:session_uuid>/heartbeat")
def heartbeat(session_uuid: UUID) -> ResponseReturnValue:
    """Note that the agent was seen; 409 if it has ended."""
    with transaction() as session:
        return jsonify(_present(agents.heartbeat(session, session_uuid)))


@blueprint.post("/<uuid:session_uuid>/end")
def end(session_uuid: UUID) -> ResponseReturnValue:
    """End the agent, with a reason."""
    reason = body(End).reason
    with transaction() as session:
        return jsonify(_present(agents.end_agent(session, session_uuid, reason)))


@blueprint.delete("/<uuid:session_uuid>")
def delete(session_uuid: UUID) -> ResponseReturnValue:
    """Delete the agent with its tasks and turns; its events stay."""
    with transaction() as session:
        agents.delete_agent(session, session_uuid)
    return "", 204


def _present(agent: Agent) -> Json:
    return agent_json(agent, agent.name, agent.state)
