"""``/api/objectives``."""

from __future__ import annotations

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue

from claude_headspace.services import objectives
from claude_headspace.web.parsing import body, query
from claude_headspace.web.presentation import history_json, objective_json, page_json
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("objectives", __name__, url_prefix="/api/objectives")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return objectives, the one set last first."""
    fields = query()
    page = fields.page()
    fields.check()
    with transaction() as session:
        found = objectives.list_objectives(session, page)
        return jsonify(page_json(map(objective_json, found), page))


@blueprint.post("")
def create() -> ResponseReturnValue:
    """Create an objective with its first text."""
    text, constraints = _wording()
    with transaction() as session:
        answer = objective_json(objectives.create_objective(session, text, constraints))
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
    text, constraints = _wording()
    with transaction() as session:
        objective = objectives.set_objective(session, objective_id, text, constraints)
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
    fields = query()
    page = fields.page()
    fields.check()
    with transaction() as session:
        found = objectives.list_history(session, objective_id, page)
        return jsonify(page_json(map(history_json, found), page))


def _wording() -> tuple[str, str | None]:
    fields = body()
    text = fields.text("text")
    constraints = fields.optional_text("constraints")
    fields.check()
    return text, constraints
