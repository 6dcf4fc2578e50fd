"""``/api/agents`` through the HTTP client, down to the rows."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from claude_headspace.domain.states import TaskState
from claude_headspace.models import Agent, Event, Project
from tests.integration.factories import AgentFactory, TaskFactory

SESSION = "5ca1ab1e-0000-4000-8000-000000000000"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_a_posted_agent_is_stored_with_its_project(client, db_session):
    """201; project, agent and event are one transaction."""
    response = client.post(
        "/api/agents",
        json={
            "session_uuid": SESSION,
            "project_path": "/srv/one",
            "claude_session_id": "abc",
            "iterm_pane_id": "w0t1p2",
            "working_directory": "/srv/one/src",
        },
    )

    agent = db_session.scalars(select(Agent)).one()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/agents/{SESSION}"
    assert (str(agent.session_uuid), agent.project.path) == (SESSION, "/srv/one")
    assert (agent.claude_session_id, agent.iterm_pane_id) == ("abc", "w0t1p2")
    assert db_session.scalar(select(Event.payload["working_directory"].astext)) == "/srv/one/src"


def test_a_known_agent_is_answered(client, db_session):
    """200 and not 201; no second project, agent or event."""
    body = {"session_uuid": SESSION, "project_path": "/srv/one"}
    first = client.post("/api/agents", json=body)
    second = client.post("/api/agents", json=body)

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json == first.json
    assert db_session.scalar(select(func.count(Agent.id))) == 1
    assert db_session.scalar(select(func.count(Event.id))) == 1


def test_an_agent_of_another_project_is_a_conflict(client, db_session):
    """409; the project of that path is not made either."""
    agent = AgentFactory()
    body = {"session_uuid": str(agent.session_uuid), "project_path": "/srv/elsewhere"}
    response = client.post("/api/agents", json=body)

    assert response.status_code == 409
    assert response.json["error"] == {
        "code": "conflict",
        "message": f"agent {agent.session_uuid} belongs to project {agent.project_id}",
    }
    assert db_session.scalars(select(Project.path)).all() == [agent.project.path]


def test_an_agent_is_answered_as_it_is_stored(client):
    """With its name and its state, alone and in the list."""
    agent = AgentFactory(
        session_uuid=SESSION, project__name="headspace", started_at=NOON, last_seen_at=NOON
    )
    TaskFactory(agent=agent, state=TaskState.AWAITING_INPUT)

    expected = {
        "id": agent.id,
        "session_uuid": SESSION,
        "name": "headspace/5ca1ab1e",
        "state": "awaiting_input",
        "project_id": agent.project_id,
        "claude_session_id": "claude-0",
        "iterm_pane_id": "w0t0p0",
        "started_at": "2026-03-04T12:00:00+00:00",
        "last_seen_at": "2026-03-04T12:00:00+00:00",
        "ended_at": None,
    }
    assert client.get(f"/api/agents/{SESSION}").json == expected
    assert client.get("/api/agents").json["items"] == [expected]


@pytest.mark.parametrize(("active", "index"), [("true", 0), ("false", 1)])
def test_agents_are_listed_by_whether_they_have_ended(active, index, client):
    """Those that go on, or those that do not."""
    agents = [AgentFactory(), AgentFactory(started_at=NOON, ended_at=NOON)]

    response = client.get(f"/api/agents?active={active}")
    assert [item["id"] for item in response.json["items"]] == [agents[index].id]


def test_a_heartbeat_is_stored(client, fresh_session):
    """The agent is seen now, later than it was."""
    agent = AgentFactory(started_at=NOON, last_seen_at=NOON)
    response = client.post(f"/api/agents/{agent.session_uuid}/heartbeat")

    assert response.status_code == 200
    assert fresh_session.get(Agent, agent.id).last_seen_at > NOON


def test_an_ended_agent_has_no_heartbeat(client):
    """409: whoever sends it has missed something."""
    agent = AgentFactory(started_at=NOON, ended_at=NOON)

    response = client.post(f"/api/agents/{agent.session_uuid}/heartbeat")
    assert response.status_code == 409
    assert response.json["error"]["message"] == f"agent {agent.session_uuid} has ended"


def test_an_agent_ends(client, fresh_session):
    """With the reason in the audit log; without one it goes on."""
    agent = AgentFactory()
    refused = client.post(f"/api/agents/{agent.session_uuid}/end", json={})
    response = client.post(f"/api/agents/{agent.session_uuid}/end", json={"reason": "closed"})

    event = fresh_session.scalars(select(Event)).one()
    assert (refused.status_code, response.status_code) == (422, 200)
    assert refused.json["error"]["fields"] == {"reason": "is required"}
    assert response.json["ended_at"] is not None
    assert event.agent.ended_at is not None
    assert event.payload["reason"] == "closed"


def test_an_agent_is_deleted(client, db_session):
    """204; its project stays."""
    agent = AgentFactory()
    response = client.delete(f"/api/agents/{agent.session_uuid}")

    assert (response.status_code, response.data) == (204, b"")
    assert db_session.scalar(select(func.count(Agent.id))) == 0
    assert db_session.scalar(select(func.count(Project.id))) == 1
