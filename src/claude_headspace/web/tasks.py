"""``/api/tasks``: read only; turns make and move tasks."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from claude_headspace.domain.states import TaskState
from claude_headspace.services import tasks, turns
from claude_headspace.web.parsing import query
from claude_headspace.web.presentation import page_json, task_json, turn_json
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("tasks", __name__, url_prefix="/api/tasks")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return tasks, the newest first."""
    fields = query()
    agent_id = fields.optional_id("agent_id")
    state = fields.optional_one_of("state", TaskState)
    page = fields.page()
    fields.check()
    with transaction() as session:
        found = tasks.list_tasks(session, agent_id=agent_id, state=state, page=page)
        return jsonify(page_json(map(task_json, found), page))


@blueprint.get("/<id:task_id>")
def show(task_id: int) -> ResponseReturnValue:
    """Return one task."""
    with transaction() as session:
        return jsonify(task_json(tasks.get_task(session, task_id)))


@blueprint.get("/<id:task_id>/turns")
def list_turns(task_id: int) -> ResponseReturnValue:
    """Return the turns of one task, the oldest first."""
    fields = query()
    page = fields.page()
    fields.check()
    with transaction() as session:
        task = tasks.get_task(session, task_id)
        found = turns.list_turns(session, task_id=task.id, page=page)
        return jsonify(page_json(map(turn_json, found), page))
