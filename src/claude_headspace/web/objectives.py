"""``/api/objectives``."""

from __future__ import annotations

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue

from claude_headspace.domain.validation import Filled
from claude_headspace.services import objectives
from claude_headspace.web.presentation import history_json, objective_json, page_json
from claude_headspace.web.requests import Listing, Request, body, query
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("objectives", __name__, url_prefix="/api/objectives")


class Wording(Request):
    """What is to be reached, and within which bounds."""

    text: Filled
    constraints: Filled | None = None


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return objectives, the one set last first."""
    page = query(Listing).page
    with transaction() as session:
        found = objectives.list_objectives(session, page)
        return jsonify(page_json(map(objective_json, found), page))


@blueprint.post("")
def create() -> ResponseReturnValue:
    """Create an objective with its first text."""
    given = body(Wording)
    with transaction() as session:
        answer = objective_json(objectives.create_objective(session, **given.model_dump()))
    location = url_for(".show", objective_id=answer["id"])
    return jsonify(answer), 201, {"Location": location}


@blueprint.get("/<id:objective_id>")
def show(objective_id: int) -> ResponseReturnValue:
    """Return one objective as it is at present."""
    with transaction() as session:
        return jsonify(objective_json(objectives.get_objective(session, objective_id)))


@blueprint.put("/<id:objective_id>")
def replace(objective_id: int) -> ResponseReturnValue:
    """Set text and constraints; the wording that held until now goes to the history."""
    given = body(Wording)
    with transaction() as session:
        objective = objectives.set_objective(session, objective_id, **given.model_dump())
        return jsonify(objective_json(objective))


@blueprint.delete("/<id:objective_id>")
def delete(objective_id: int) -> ResponseReturnValue:
    """Delete the objective with its history."""
    with transaction() as session:
        objectives.delete_objective(session, objective_id)
    return "", 204


@blueprint.get("/<id:objective_id>/history")
def history(objective_id: int) -> ResponseReturnValue:
    """Return every wording of the objective, the newest first."""
    page = query(Listing).page
    with transaction() as session:
        found = objectives.list_history(session, objective_id, page)
        return jsonify(page_json(map(history_json, found), page))
