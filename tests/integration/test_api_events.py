"""``/api/events`` through the HTTP client: written on the writer's own engine, read by another."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

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


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["event_type"]),
        ({"event_type": "coffee_made"}, ["event_type"]),
        ({"event_type": "notification_sent", "payload": "text"}, ["payload"]),
        ({"event_type": "notification_sent", "agent_id": "one"}, ["agent_id"]),
        ({"event_type": "notification_sent", "agent_id": True}, ["agent_id"]),
        (
            {"event_type": "session_ended", "payload": {"reason": "closed"}},
            ["payload.session_uuid"],
        ),
    ],
)
def test_a_wrong_event_is_refused(body, fields, client, db_session):
    """422 says which fields are wrong, and nothing is written."""
    response = client.post("/api/events", json=body)

    assert response.status_code == 422
    assert list(response.json["error"]["fields"]) == fields
    assert db_session.scalar(select(func.count(Event.id))) == 0


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


def test_events_are_listed(client):
    """The newest first, in parts."""
    EventFactory(timestamp=NOON)
    older = EventFactory(timestamp=NOON - timedelta(minutes=1))

    response = client.get("/api/events?limit=1&offset=1")
    assert response.status_code == 200
    assert [item["id"] for item in response.json["items"]] == [older.id]


def test_events_are_filtered(client):
    """By everything at once."""
    turn = TurnFactory()
    wanted = EventFactory(agent=turn.task.agent, task=turn.task, timestamp=NOON)
    EventFactory(agent=turn.task.agent, task=turn.task, timestamp=NOON - timedelta(minutes=1))
    EventFactory(timestamp=NOON)

    response = client.get(
        "/api/events",
        query_string={
            "event_type": "hook_received",
            "project_id": wanted.project_id,
            "agent_id": wanted.agent_id,
            "task_id": wanted.task_id,
            "since": "2026-03-04T13:00:00+01:00",
        },
    )
    assert [item["id"] for item in response.json["items"]] == [wanted.id]


@pytest.mark.parametrize(
    ("name", "value"),
    [("since", "yesterday"), ("since", "2026-03-04T12:00:00"), ("event_type", "coffee_made")],
)
def test_an_impossible_filter_is_refused(name, value, client):
    """422 names the parameter; a time without its offset could be any."""
    response = client.get("/api/events", query_string={name: value})

    assert response.status_code == 422
    assert list(response.json["error"]["fields"]) == [name]


def test_an_event_that_is_not_there_is_404(client):
    """The message says which one was asked for."""
    response = client.get(f"/api/events/{NOBODY}")

    assert response.status_code == 404
    assert response.json["error"]["message"] == f"there is no event {NOBODY}"


def test_a_longer_list_takes_no_more_statements(client, pg):
    """Twenty events are answered as cheaply as one."""
    EventFactory()
    with pg.counting() as of_one:
        client.get("/api/events")
    EventFactory.create_batch(19)
    with pg.counting() as of_twenty:
        client.get("/api/events")

    assert len(of_one) == len(of_twenty) == 1
