"""Events: the audit log, read."""

from datetime import UTC, datetime, timedelta

import pytest

from claude_headspace.domain.payloads import EventType
from claude_headspace.errors import NotFound
from claude_headspace.services.events import EventFilter, get_event, list_events
from claude_headspace.services.paging import Page
from tests.integration.factories import EventFactory, TaskFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOBODY = 2**31 - 1


def test_an_event_is_found_by_its_id(db_session):
    """The service returns the row itself."""
    event = EventFactory()

    assert get_event(db_session, event.id) is event


def test_an_event_that_is_not_there_is_not_found(db_session):
    """The error says which one was asked for."""
    with pytest.raises(NotFound, match=f"no event {NOBODY}"):
        get_event(db_session, NOBODY)


def test_events_are_listed_newest_first(db_session):
    """Of events at the same time the one written last comes first."""
    first, second = EventFactory.create_batch(2, timestamp=NOON)
    newest = EventFactory(timestamp=NOON + MINUTE)

    assert list_events(db_session) == [newest, second, first]


def test_events_of_one_type_are_listed(db_session):
    """Other types are left out."""
    EventFactory()
    wanted = EventFactory(event_type="notification_sent", payload=None)

    found = list_events(db_session, EventFilter(event_type=EventType.NOTIFICATION_SENT))
    assert found == [wanted]


def test_events_of_one_project_are_listed(db_session):
    """Other projects' events are left out."""
    wanted, _ = EventFactory.create_batch(2)

    assert list_events(db_session, EventFilter(project_id=wanted.project_id)) == [wanted]


def test_events_of_one_agent_are_listed(db_session):
    """Other agents' events are left out."""
    wanted, _ = EventFactory.create_batch(2)

    assert list_events(db_session, EventFilter(agent_id=wanted.agent_id)) == [wanted]


def test_events_of_one_task_are_listed(db_session):
    """Events that are about no task are left out."""
    EventFactory()
    wanted = EventFactory(task=TaskFactory())

    assert list_events(db_session, EventFilter(task_id=wanted.task_id)) == [wanted]


def test_events_since_a_time_are_listed(db_session):
    """An event at that very time is one of them."""
    EventFactory(timestamp=NOON - MINUTE)
    wanted = EventFactory(timestamp=NOON)

    assert list_events(db_session, EventFilter(since=NOON)) == [wanted]


def test_a_filter_may_ask_for_several_things(db_session):
    """All of them have to hold."""
    wanted, _ = EventFactory.create_batch(2, timestamp=NOON)
    EventFactory(agent=wanted.agent, timestamp=NOON - MINUTE)

    found = list_events(db_session, EventFilter(agent_id=wanted.agent_id, since=NOON))
    assert found == [wanted]


def test_a_part_of_the_events_is_listed(db_session):
    """Limit and offset are the database's."""
    _, second, _ = EventFactory.create_batch(3, timestamp=NOON)

    assert list_events(db_session, page=Page(limit=1, offset=1)) == [second]


def test_events_are_listed_by_one_statement(db_session, pg):
    """However many projects and agents they are about."""
    EventFactory.create_batch(20)
    with pg.counting() as queries:
        list_events(db_session)

    assert len(queries) == 1
