"""``/api/events``: the audit log."""

from __future__ import annotations

from flask import Blueprint, current_app, jsonify, url_for
from flask.typing import ResponseReturnValue

from claude_headspace.domain.payloads import EventType
from claude_headspace.services import events
from claude_headspace.services.event_writer import EventWriter, NewEvent
from claude_headspace.web.parsing import body, query
from claude_headspace.web.presentation import event_json, page_json
from claude_headspace.web.transactions import transaction

blueprint = Blueprint("events", __name__, url_prefix="/api/events")

EVENT_WRITER = "headspace_event_writer"
"""The key of the application's :class:`EventWriter` in ``app.extensions``."""


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Return events, the newest first."""
    fields = query()
    wanted = events.EventFilter(
        event_type=fields.optional_one_of("event_type", EventType),
        project_id=fields.optional_id("project_id"),
        agent_id=fields.optional_id("agent_id"),
        task_id=fields.optional_id("task_id"),
        since=fields.optional_moment("since"),
    )
    page = fields.page()
    fields.check()
    with transaction() as session:
        found = events.list_events(session, wanted, page)
        return jsonify(page_json(map(event_json, found), page))


@blueprint.post("")
def write() -> ResponseReturnValue:
    """Write an event from outside, a hook for one; it is committed on the writer's own engine."""
    fields = body()
    event = NewEvent(
        event_type=fields.one_of("event_type", EventType),
        payload=fields.optional_object("payload"),
        project_id=fields.optional_id("project_id"),
        agent_id=fields.optional_id("agent_id"),
        task_id=fields.optional_id("task_id"),
        turn_id=fields.optional_id("turn_id"),
    )
    fields.check()
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
