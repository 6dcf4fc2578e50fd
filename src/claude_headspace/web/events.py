"""``/api/events``: the audit log."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, current_app, jsonify, url_for
from flask.typing import ResponseReturnValue

from claude_headspace.domain.payloads import EventType
from claude_headspace.domain.validation import Id, Moment, says
from claude_headspace.services import events
from claude_headspace.services.event_writer import EventWriter, NewEvent
from claude_headspace.web.presentation import event_json, page_json
from claude_headspace.web.requests import Listing, Request, body, query
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("events", __name__, url_prefix="/api/events")

EVENT_WRITER = "headspace_event_writer"
"""The key of the application's :class:`EventWriter` in ``app.extensions``."""

Type = Annotated[EventType, says(f"must be one of {', '.join(EventType)}")]


class Events(Listing):
    """Which events are wanted."""

    event_type: Type | None = None
    project_id: Id | None = None
    agent_id: Id | None = None
    task_id: Id | None = None
    since: Moment | None = None


class Happened(Request):
    """An event from outside."""

    event_type: Type
    payload: Annotated[dict[str, object], says("must be an object")] | None = None
    project_id: Id | None = None
    agent_id: Id | None = None
    task_id: Id | None = None
    turn_id: Id | None = None


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return events, the newest first."""
    wanted = query(Events)
    chosen = events.EventFilter(**wanted.model_dump(exclude={"limit", "offset"}))
    with transaction() as session:
        found = events.list_events(session, chosen, wanted.page)
        return jsonify(page_json(map(event_json, found), wanted.page))


@blueprint.post("")
def write() -> ResponseReturnValue:
    """Write an event from outside, a hook for one; it is committed on the writer's own engine."""
    event = NewEvent(**body(Happened).model_dump())
    writer: EventWriter = current_app.extensions[EVENT_WRITER]
    event_id = writer.write(event)
    with transaction() as session:
        answer = event_json(events.get_event(session, event_id))
    return jsonify(answer), 201, {"Location": url_for(".show", event_id=event_id)}


@blueprint.get("/<id:event_id>")
def show(event_id: int) -> ResponseReturnValue:
    """Return one event."""
    with transaction() as session:
        return jsonify(event_json(events.get_event(session, event_id)))
