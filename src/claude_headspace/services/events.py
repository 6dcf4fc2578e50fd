"""Events: the audit log, read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from claude_headspace.domain.payloads import EventType
from claude_headspace.errors import NotFound
from claude_headspace.models import Event
from claude_headspace.services.paging import Page


@dataclass(frozen=True)
class EventFilter:
    """Which events are wanted; None wants all."""

    event_type: EventType | None = None
    project_id: int | None = None
    agent_id: int | None = None
    task_id: int | None = None
    since: datetime | None = None
    """At this time or later."""


def get_event(session: Session, event_id: int) -> Event:
    """Return the event, or raise :class:`NotFound`."""
    event = session.get(Event, event_id)
    if event is None:
        raise NotFound(f"there is no event {event_id}")
    return event


def list_events(
    session: Session, wanted: EventFilter = EventFilter(), page: Page = Page()
) -> list[Event]:
    """Return the events that are wanted, the newest first."""
    statement = select(Event)
    if wanted.event_type is not None:
        statement = statement.where(Event.event_type == wanted.event_type)
    if wanted.project_id is not None:
        statement = statement.where(Event.project_id == wanted.project_id)
    if wanted.agent_id is not None:
        statement = statement.where(Event.agent_id == wanted.agent_id)
    if wanted.task_id is not None:
        statement = statement.where(Event.task_id == wanted.task_id)
    if wanted.since is not None:
        statement = statement.where(Event.timestamp >= wanted.since)
    statement = statement.order_by(Event.timestamp.desc(), Event.id.desc())
    return list(session.scalars(statement.limit(page.limit).offset(page.offset)))
