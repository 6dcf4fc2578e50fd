"""``/api/events`` through the HTTP client: written on the writer's own engine, read by another."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from claude_headspace.models import Event
from tests.integration.factories import EventFactory, TurnFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOBODY = 2**31 - 1


def test_a_posted_event_is_stored(client, db_session, pg):
    """201: the writer's own engine committed it, and the request's session has read it."""
    turn = TurnFactory()
    response = client.post(
        "/api/events",
        json={
            "event_type": "notification_sent",
            "payload": {"text": "The tests are green"},
            "project_id": turn.task.agent.project_id,
            "agent_id": turn.task.agent_id,
            "task_id": turn.task_id,
            "turn_id": turn.id,
        },
    )

    event = db_session.scalars(select(Event)).one()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/events/{event.id}"
    assert event.payload == {"text": "The tests are green"}
    assert event.turn is turn
    assert pg.outside("select count(*) from events") == 0


def test_an_event_needs_a_type_only(client, db_session):
    """Where the type needs no payload there may be none."""
    response = client.post("/api/events", json={"event_type": "objective_changed"})

    assert response.status_code == 201
    assert response.json["payload"] is None
    assert db_session.scalar(select(Event.event_type)) == "objective_changed"


def test_an_event_of_nothing_is_refused_by_the_database(client):
    """422 names the constraint, and none of the values."""
    body = {"event_type": "notification_sent", "payload": {"text": "secret"}, "task_id": NOBODY}

    response = client.post("/api/events", json=body)
    assert response.status_code == 422
    assert response.json["error"]["constraint"] == "fk_events_task_id_tasks"
    assert "secret" not in response.text


def test_an_event_is_answered_as_it_is_stored(client):
    """With everything it refers to."""
    event = EventFactory(event_type="notification_sent", payload={"text": "Hallo"}, timestamp=NOON)

    response = client.get(f"/api/events/{event.id}")
    assert response.status_code == 200
    assert response.json == {
        "id": event.id,
        "timestamp": "2026-03-04T12:00:00+00:00",
        "event_type": "notification_sent",
        "project_id": event.project_id,
        "agent_id": event.agent_id,
        "task_id": None,
        "turn_id": None,
        "payload": {"text": "Hallo"},
    }


@pytest.mark.parametrize(
    "query",
    [
        {"event_type": "notification_sent"},
        {"since": "2026-03-04T13:00:00+01:00"},
        {"event_type": "notification_sent", "since": "2026-03-04T12:00:00Z"},
    ],
)
def test_events_are_filtered_by_type_and_time(query, client):
    """An event at that very time is one of them, and all that is asked for has to hold."""
    EventFactory(timestamp=NOON - timedelta(minutes=1))
    wanted = EventFactory(event_type="notification_sent", payload=None, timestamp=NOON)

    response = client.get("/api/events", query_string=query)
    assert [item["id"] for item in response.json["items"]] == [wanted.id]


def test_events_are_filtered_by_task(client):
    """Events that are about no task are left out."""
    EventFactory()
    wanted = EventFactory(task=TurnFactory().task)

    response = client.get(f"/api/events?task_id={wanted.task_id}")
    assert [item["id"] for item in response.json["items"]] == [wanted.id]
