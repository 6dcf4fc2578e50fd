"""``/api/reports``: what the database computes."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from claude_headspace.services import reports
from claude_headspace.web.parsing import Fields, query
from claude_headspace.web.presentation import Json, moment, page_json
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("reports", __name__, url_prefix="/api/reports")


@blueprint.get("/turns-per-task")
def turns_per_task() -> ResponseReturnValue:
    """Return for each task how many turns it has and by whom, the newest task first."""
    fields = query()
    scope = _scope(fields)
    page = fields.page()
    fields.check()
    with transaction() as session:
        found = reports.turns_per_task(session, scope, page)
    return jsonify(page_json(map(_task_turns_json, found), page))


@blueprint.get("/time-per-state")
def time_per_state() -> ResponseReturnValue:
    """Return the seconds that tasks spent in each state, up to now or the given time."""
    fields = query()
    scope = _scope(fields)
    until = fields.optional_moment("until")
    fields.check()
    with transaction() as session:
        times = reports.time_per_state(session, scope, until=until)
    return jsonify({"seconds": {state: time.total_seconds() for state, time in times.items()}})


def _scope(fields: Fields) -> reports.Scope:
    return reports.Scope(
        project_id=fields.optional_id("project_id"),
        agent_id=fields.optional_id("agent_id"),
        task_id=fields.optional_id("task_id"),
    )


def _task_turns_json(row: reports.TaskTurns) -> Json:
    return {
        "task_id": row.task_id,
        "agent_id": row.agent_id,
        "state": row.state,
        "turns": row.turns,
        "user_turns": row.user_turns,
        "agent_turns": row.agent_turns,
        "first_turn_at": moment(row.first_turn_at),
        "last_turn_at": moment(row.last_turn_at),
    }
