"""``/api/reports``: what the database computes."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from claude_headspace.domain.validation import Id, Moment
from claude_headspace.services import reports
from claude_headspace.web.presentation import Json, moment, page_json
from claude_headspace.web.requests import Listing, Request, query
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("reports", __name__, url_prefix="/api/reports")


class Scoped(Request):
    """What a report is about."""

    project_id: Id | None = None
    agent_id: Id | None = None
    task_id: Id | None = None

    @property
    def scope(self) -> reports.Scope:
        """The same, as services take it."""
        return reports.Scope(self.project_id, self.agent_id, self.task_id)


class TurnsPerTask(Scoped, Listing):
    """Which part of the report is wanted."""


class TimePerState(Scoped):
    """Up to which time; now, if none is given."""

    until: Moment | None = None


@blueprint.get("/turns-per-task")
def turns_per_task() -> ResponseReturnValue:
    """Return for each task how many turns it has and by whom, the newest task first."""
    wanted = query(TurnsPerTask)
    with transaction() as session:
        found = reports.turns_per_task(session, wanted.scope, wanted.page)
    return jsonify(page_json(map(_task_turns_json, found), wanted.page))


@blueprint.get("/time-per-state")
def time_per_state() -> ResponseReturnValue:
    """Return the seconds that tasks spent in each state, up to now or the given time."""
    wanted = query(TimePerState)
    with transaction() as session:
        times = reports.time_per_state(session, wanted.scope, until=wanted.until)
    return jsonify({"seconds": {state: time.total_seconds() for state, time in times.items()}})


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
