"""``/api/turns`` and ``/api/tasks`` through the HTTP client, down to the rows."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from claude_headspace.domain.states import TaskState
from claude_headspace.models import Event, Task, Turn
from tests.integration.factories import AgentFactory, TaskFactory, TurnFactory

SESSION = "5ca1ab1e-0000-4000-8000-000000000000"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


# --- delivering a turn ----------------------------------------------------------------------------


def test_a_delivered_turn_moves_the_task(client, db_session):
    """201 with the turn, the task, what it means and what it did."""
    task = TaskFactory(state=TaskState.PROCESSING, agent__session_uuid=SESSION)
    body = {"session_uuid": SESSION, "actor": "agent", "text": "Which database?"}
    response = client.post("/api/turns", json=body)

    turn = db_session.scalars(select(Turn)).one()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/turns/{turn.id}"
    assert response.json["turn"]["text"] == turn.text == "Which database?"
    assert response.json["task"]["id"] == task.id
    assert response.json["task"]["state"] == "awaiting_input"
    assert response.json["intent"] == {"intent": "question", "confidence": 1.0, "matched": "?"}
    assert response.json["transition"] == {
        "outcome": "moves",
        "reason": "agent question: processing -> awaiting_input",
    }


def test_a_delivered_turn_is_committed_with_its_event(client, db_session):
    """Turn, task and event are there when the request is answered."""
    agent = AgentFactory(session_uuid=SESSION)
    body = {"session_uuid": SESSION, "actor": "user", "text": "Write the tests"}
    client.post("/api/turns", json=body)

    assert db_session.scalars(select(Task.agent_id)).all() == [agent.id]
    assert db_session.scalar(select(Event.turn_id)) == db_session.scalar(select(Turn.id))


def test_an_intent_may_be_given(client):
    """A hook knows what a turn means; the text may be empty then."""
    TaskFactory(state=TaskState.COMMANDED, agent__session_uuid=SESSION)
    body = {"session_uuid": SESSION, "actor": "agent", "text": "", "intent": "completion"}

    response = client.post("/api/turns", json=body)
    assert response.status_code == 201
    assert response.json["task"]["state"] == "complete"


def test_a_turn_that_does_not_fit_is_a_conflict(client, db_session):
    """409 says why, and nothing is written."""
    TaskFactory(state=TaskState.PROCESSING, agent__session_uuid=SESSION)
    body = {"session_uuid": SESSION, "actor": "user", "text": "Hurry up"}
    response = client.post("/api/turns", json=body)

    assert response.status_code == 409
    assert response.json["error"]["code"] == "invalid_transition"
    assert response.json["error"]["message"].startswith("a task that is processing accepts")
    assert db_session.scalar(select(func.count(Turn.id))) == 0


def test_an_ended_agent_takes_no_turns(client):
    """409: whoever delivers it has missed something."""
    AgentFactory(session_uuid=SESSION, started_at=NOON, ended_at=NOON)
    body = {"session_uuid": SESSION, "actor": "user", "text": "Write the tests"}

    response = client.post("/api/turns", json=body)
    assert response.status_code == 409
    assert response.json["error"]["code"] == "conflict"


# --- reading turns --------------------------------------------------------------------------------


def test_a_turn_is_answered_as_it_is_stored(client):
    """Words and time."""
    turn = TurnFactory(text="Schreib die Tests", timestamp=NOON)

    response = client.get(f"/api/turns/{turn.id}")
    assert response.status_code == 200
    assert response.json == {
        "id": turn.id,
        "task_id": turn.task_id,
        "actor": "user",
        "intent": "command",
        "text": "Schreib die Tests",
        "timestamp": "2026-03-04T12:00:00+00:00",
    }


# --- reading tasks --------------------------------------------------------------------------------


def test_a_task_is_answered_as_it_is_stored(client):
    """State and times."""
    task = TaskFactory(
        state=TaskState.COMPLETE, started_at=NOON, completed_at=NOON + timedelta(minutes=1)
    )

    response = client.get(f"/api/tasks/{task.id}")
    assert response.status_code == 200
    assert response.json == {
        "id": task.id,
        "agent_id": task.agent_id,
        "state": "complete",
        "started_at": "2026-03-04T12:00:00+00:00",
        "completed_at": "2026-03-04T12:01:00+00:00",
    }


def test_tasks_are_listed(client):
    """Of one agent, in one state."""
    task = TaskFactory(state=TaskState.PROCESSING)
    TaskFactory(agent=task.agent, state=TaskState.AWAITING_INPUT)
    TaskFactory(state=TaskState.PROCESSING)

    response = client.get(f"/api/tasks?agent_id={task.agent_id}&state=processing")
    assert response.status_code == 200
    assert [item["id"] for item in response.json["items"]] == [task.id]


def test_the_turns_of_a_task_are_listed(client):
    """The oldest first, other tasks' turns left out."""
    later = TurnFactory(timestamp=NOON + timedelta(minutes=1))
    earlier = TurnFactory(task=later.task, timestamp=NOON)
    TurnFactory()

    response = client.get(f"/api/tasks/{later.task_id}/turns")
    assert response.status_code == 200
    assert [item["id"] for item in response.json["items"]] == [earlier.id, later.id]
