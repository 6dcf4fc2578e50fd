"""``/api/agents``; an agent is addressed by its session's UUID."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue

from claude_headspace.models import Agent
from claude_headspace.services import agents, projects
from claude_headspace.web.parsing import body, query
from claude_headspace.web.presentation import Json, agent_json, page_json
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("agents", __name__, url_prefix="/api/agents")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return agents with their states, the one seen last first."""
    fields = query()
    project_id = fields.optional_id("project_id")
    active = fields.optional_flag("active")
    page = fields.page()
    fields.check()
    with transaction() as session:
        found = agents.list_agents(session, project_id=project_id, active=active, page=page)
        return jsonify(page_json((agent_json(o.agent, o.name, o.state) for o in found), page))


@blueprint.post("")
def register() -> ResponseReturnValue:
    """Register an agent, and the project at its path: 201 if the agent is new, else 200."""
    fields = body()
    session_uuid = fields.uuid("session_uuid")
    project_path = fields.text("project_path")
    claude_session_id = fields.optional_text("claude_session_id")
    iterm_pane_id = fields.optional_text("iterm_pane_id")
    working_directory = fields.optional_text("working_directory")
    fields.check()
    with transaction() as session:
        project, _ = projects.register_project(session, project_path)
        agent, created = agents.register_agent(
            session,
            session_uuid,
            project,
            claude_session_id=claude_session_id,
            iterm_pane_id=iterm_pane_id,
            working_directory=working_directory,
        )
        answer = _present(agent)
    location = url_for(".show", session_uuid=session_uuid)
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
    fields = body()
    reason = fields.text("reason")
    fields.check()
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
