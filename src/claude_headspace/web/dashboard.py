"""``/``: the dashboard, for people."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from claude_headspace.clock import now
from claude_headspace.domain.states import TaskState
from claude_headspace.services.board import REMEMBERED, get_board
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("dashboard", __name__)

COLUMNS = {
    TaskState.IDLE: ("Idle", "nothing to do"),
    TaskState.COMMANDED: ("Commanded", "told, not begun"),
    TaskState.PROCESSING: ("Processing", "at work"),
    TaskState.AWAITING_INPUT: ("Awaiting input", "waits for you"),
    TaskState.COMPLETE: ("Complete", f"in the last {REMEMBERED.total_seconds() / 3600:.0f} hours"),
}
"""For each state the heading of its column, and what it means."""


@blueprint.get("/")
def dashboard() -> ResponseReturnValue:
    """Return a page with one column per task state; its script only replaces what changed."""
    at = now()
    with transaction() as session:
        return render_template(
            "dashboard.html", board=get_board(session), columns=COLUMNS, now=at, ago=ago
        )


def ago(moment: datetime, at: datetime) -> str:
    """Return how long before *at* the moment was, in the largest unit that fits."""
    seconds = max(0, int((at - moment).total_seconds()))
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "just now"
