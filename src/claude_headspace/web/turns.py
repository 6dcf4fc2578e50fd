"""``/api/turns``: where an agent's turns are delivered."""

from __future__ import annotations

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue

from claude_headspace.domain.validation import Actor, Id, Intent, Text, Uuid
from claude_headspace.services import turns
from claude_headspace.web.errors import error_body
from claude_headspace.web.presentation import page_json, task_json, turn_json
from claude_headspace.web.requests import Listing, Request, body, query
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("turns", __name__, url_prefix="/api/turns")


class Turns(Listing):
    """Which turns are wanted."""

    task_id: Id | None = None


class NewTurn(Request):
    """What was said, by whom and in which session; what it means, if that is known."""

    session_uuid: Uuid
    actor: Actor
    text: Text
    intent: Intent | None = None


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return turns, the oldest first."""
    wanted = query(Turns)
    with transaction() as session:
        found = turns.list_turns(session, task_id=wanted.task_id, page=wanted.page)
        return jsonify(page_json(map(turn_json, found), wanted.page))


@blueprint.post("")
def deliver() -> ResponseReturnValue:
    """Process a turn: 201 with turn, task and transition, or 409 and why it does not fit."""
    given = body(NewTurn)
    with transaction() as session:
        result = turns.process_turn(session, **given.model_dump())
        if result.task is None or result.turn is None:
            return error_body(409, "invalid_transition", result.transition.reason)
        answer = {
            "turn": turn_json(result.turn),
            "task": task_json(result.task),
            "intent": {
                "intent": result.detected.intent,
                "confidence": result.detected.confidence,
                "matched": result.detected.matched,
            },
            "transition": {
                "outcome": result.transition.outcome.value,
                "reason": result.transition.reason,
            },
        }
        location = url_for(".show", turn_id=result.turn.id)
    return jsonify(answer), 201, {"Location": location}


@blueprint.get("/<id:turn_id>")
def show(turn_id: int) -> ResponseReturnValue:
    """Return one turn."""
    with transaction() as session:
        return jsonify(turn_json(turns.get_turn(session, turn_id)))
