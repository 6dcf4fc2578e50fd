"""``/api/turns`` and ``/api/tasks`` through the HTTP client, down to the rows."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from claude_headspace.domain.states import TaskState
from claude_headspace.models import Event, Task, Turn
from tests.integration.factories import AgentFactory, TaskFactory, TurnFactory

SESSION = "5ca1ab1e-0000-4000-8000-000000000000"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOBODY = 2**31 - 1


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


def test_an_agent_that_is_not_there_takes_no_turns(client):
    """404 says which one was meant."""
    body = {"session_uuid": SESSION, "actor": "user", "text": "Write the tests"}

    response = client.post("/api/turns", json=body)
    assert response.status_code == 404
    assert response.json["error"]["message"] == f"there is no agent {SESSION}"


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"session_uuid": "one"}, {"session_uuid": "must be a UUID"}),
        ({"actor": None}, {"actor": "is required"}),
        ({"actor": "manager"}, {"actor": "must be one of user, agent"}),
        ({"text": None}, {"text": "is required"}),
        (
            {"intent": "gossip"},
            {"intent": "must be one of command, answer, question, completion, progress"},
        ),
    ],
)
def test_a_wrong_turn_is_refused(change, fields, client):
    """422 says what is wrong with which field."""
    body = {"session_uuid": SESSION, "actor": "user", "text": "Write the tests", **change}

    response = client.post("/api/turns", json=body)
    assert response.status_code == 422
    assert response.json["error"]["fields"] == fields


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


def test_turns_are_listed(client):
    """The oldest first: of one task, in parts."""
    task = TaskFactory()
    TurnFactory(task=task, timestamp=NOON)
    last = TurnFactory(task=task, timestamp=NOON + timedelta(minutes=1))
    TurnFactory()

    response = client.get(f"/api/turns?task_id={task.id}&offset=1")
    assert response.status_code == 200
    assert [item["id"] for item in response.json["items"]] == [last.id]


def test_a_turn_that_is_not_there_is_404(client):
    """The message says which one was asked for."""
    response = client.get(f"/api/turns/{NOBODY}")

    assert response.status_code == 404
    assert response.json["error"]["message"] == f"there is no turn {NOBODY}"


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


def test_tasks_of_an_unknown_state_are_refused(client):
    """422 says which states there are."""
    response = client.get("/api/tasks?state=paused")

    assert response.status_code == 422
    assert response.json["error"]["fields"] == {
        "state": "must be one of idle, commanded, processing, awaiting_input, complete"
    }


def test_the_turns_of_a_task_are_listed(client):
    """The oldest first, other tasks' turns left out."""
    later = TurnFactory(timestamp=NOON + timedelta(minutes=1))
    earlier = TurnFactory(task=later.task, timestamp=NOON)
    TurnFactory()

    response = client.get(f"/api/tasks/{later.task_id}/turns")
    assert response.status_code == 200
    assert [item["id"] for item in response.json["items"]] == [earlier.id, later.id]


@pytest.mark.parametrize("path", [f"/api/tasks/{NOBODY}", f"/api/tasks/{NOBODY}/turns"])
def test_a_task_that_is_not_there_is_404(path, client):
    """The message says which one was asked for."""
    response = client.get(path)

    assert response.status_code == 404
    assert response.json["error"]["message"] == f"there is no task {NOBODY}"


@pytest.mark.parametrize("path", ["/api/tasks", "/api/turns"])
def test_a_longer_list_takes_no_more_statements(path, client, pg):
    """Twenty rows are answered as cheaply as one."""
    TurnFactory()
    with pg.counting() as of_one:
        client.get(path)
    TurnFactory.create_batch(19)
    with pg.counting() as of_twenty:
        client.get(path)

    assert len(of_one) == len(of_twenty) == 1
