"""``/api/projects``."""

from __future__ import annotations

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue

from claude_headspace.domain.validation import Filled
from claude_headspace.services import projects
from claude_headspace.web.presentation import page_json, project_json
from claude_headspace.web.requests import Listing, Request, body, query
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("projects", __name__, url_prefix="/api/projects")


class NewProject(Request):
    """A project by its path."""

    path: Filled
    name: Filled | None = None
    github_repo: Filled | None = None
    current_branch: Filled | None = None


class Changes(Request):
    """What is to be changed of a project: what is not named stays, so the defaults are not read."""

    name: Filled = ""
    github_repo: Filled | None = None
    current_branch: Filled | None = None


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return projects by name, each with the number of its active agents in each state."""
    page = query(Listing).page
    with transaction() as session:
        found = projects.list_projects(session, page)
        return jsonify(page_json((project_json(o.project, o.agents) for o in found), page))


@blueprint.post("")
def register() -> ResponseReturnValue:
    """Register a project by its path: 201 if it is new, 200 if it was there, with its row."""
    given = body(NewProject)
    with transaction() as session:
        project, created = projects.register_project(session, **given.model_dump())
        answer = project_json(project, projects.agents_by_state(session, project.id))
    location = url_for(".show", project_id=answer["id"])
    return jsonify(answer), 201 if created else 200, {"Location": location}


@blueprint.get("/<id:project_id>")
def show(project_id: int) -> ResponseReturnValue:
    """Return one project."""
    with transaction() as session:
        project = projects.get_project(session, project_id)
        return jsonify(project_json(project, projects.agents_by_state(session, project_id)))


@blueprint.patch("/<id:project_id>")
def update(project_id: int) -> ResponseReturnValue:
    """Change name, repository or branch; null takes the latter two away."""
    changes = body(Changes).model_dump(exclude_unset=True)
    with transaction() as session:
        project = projects.update_project(session, project_id, changes)
        return jsonify(project_json(project, projects.agents_by_state(session, project_id)))


@blueprint.delete("/<id:project_id>")
def delete(project_id: int) -> ResponseReturnValue:
    """Delete the project with everything in it; its events stay."""
    with transaction() as session:
        projects.delete_project(session, project_id)
    return "", 204
