"""``/api/tasks``: read only; turns make and move tasks."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from claude_headspace.domain.validation import Id, State
from claude_headspace.services import tasks, turns
from claude_headspace.web.presentation import page_json, task_json, turn_json
from claude_headspace.web.requests import Listing, query
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("tasks", __name__, url_prefix="/api/tasks")


class Tasks(Listing):
    """Which tasks are wanted."""

    agent_id: Id | None = None
    state: State | None = None


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return tasks, the newest first."""
    wanted = query(Tasks)
    with transaction() as session:
        found = tasks.list_tasks(
            session, agent_id=wanted.agent_id, state=wanted.state, page=wanted.page
        )
        return jsonify(page_json(map(task_json, found), wanted.page))


@blueprint.get("/<id:task_id>")
def show(task_id: int) -> ResponseReturnValue:
    """Return one task."""
    with transaction() as session:
        return jsonify(task_json(tasks.get_task(session, task_id)))


@blueprint.get("/<id:task_id>/turns")
def list_turns(task_id: int) -> ResponseReturnValue:
    """Return the turns of one task, the oldest first."""
    page = query(Listing).page
    with transaction() as session:
        task = tasks.get_task(session, task_id)
        found = turns.list_turns(session, task_id=task.id, page=page)
        return jsonify(page_json(map(turn_json, found), page))
