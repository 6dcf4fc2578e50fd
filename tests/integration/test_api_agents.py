"""``/api/agents`` through the HTTP client, down to the rows."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from claude_headspace.domain.states import TaskState
from claude_headspace.models import Agent, Event, Project
from tests.integration.factories import AgentFactory, ProjectFactory, TaskFactory

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
    assert response.json["error"]["code"] == "conflict"
    assert db_session.scalars(select(Project.path)).all() == [agent.project.path]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"session_uuid": "is required", "project_path": "is required"}),
        (
            {"session_uuid": "one", "project_path": "/srv/one"},
            {"session_uuid": "must be a UUID"},
        ),
        (
            {"session_uuid": SESSION, "project_path": "/srv/one", "iterm_pane_id": 1},
            {"iterm_pane_id": "must be a string"},
        ),
    ],
)
def test_a_wrong_agent_is_refused(body, fields, client, db_session):
    """422 says everything that is wrong at once, and nothing is written."""
    response = client.post("/api/agents", json=body)

    assert response.status_code == 422
    assert response.json["error"]["fields"] == fields
    assert db_session.scalar(select(func.count(Project.id))) == 0


def test_an_agent_is_answered_as_it_is_stored(client):
    """With its name and its state."""
    agent = AgentFactory(
        session_uuid=SESSION, project__name="headspace", started_at=NOON, last_seen_at=NOON
    )
    TaskFactory(agent=agent, state=TaskState.AWAITING_INPUT)

    response = client.get(f"/api/agents/{SESSION}")
    assert response.status_code == 200
    assert response.json == {
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


def test_agents_are_listed(client):
    """Of one project, active or not, in parts."""
    agent = AgentFactory(project__name="headspace")
    AgentFactory(project=agent.project, started_at=NOON, ended_at=NOON)
    AgentFactory()

    response = client.get(f"/api/agents?project_id={agent.project_id}&active=true&limit=10")
    assert response.status_code == 200
    assert [item["id"] for item in response.json["items"]] == [agent.id]
    assert response.json["items"][0]["name"].startswith("headspace/")


def test_ended_agents_are_listed(client):
    """active=false leaves out those that go on."""
    AgentFactory()
    ended = AgentFactory(started_at=NOON, ended_at=NOON)

    response = client.get("/api/agents?active=false")
    assert [item["id"] for item in response.json["items"]] == [ended.id]


def test_a_longer_list_takes_no_more_statements(client, pg):
    """Twenty agents with their states are answered as cheaply as one."""
    TaskFactory()
    with pg.counting() as of_one:
        client.get("/api/agents")
    TaskFactory.create_batch(19)
    with pg.counting() as of_twenty:
        client.get("/api/agents")

    assert len(of_one) == len(of_twenty) == 1


@pytest.mark.parametrize(
    "query", ["project_id=0", "project_id=one", "active=perhaps", "colour=red"]
)
def test_an_impossible_filter_is_refused(query, client):
    """422 names the parameter."""
    response = client.get(f"/api/agents?{query}")

    assert response.status_code == 422
    assert list(response.json["error"]["fields"]) == [query.partition("=")[0]]


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
    """With the reason in the audit log."""
    agent = AgentFactory()
    response = client.post(f"/api/agents/{agent.session_uuid}/end", json={"reason": "closed"})

    event = fresh_session.scalars(select(Event)).one()
    assert response.status_code == 200
    assert response.json["ended_at"] is not None
    assert event.agent.ended_at is not None
    assert event.payload["reason"] == "closed"


def test_an_end_has_a_reason(client, db_session):
    """422, and the agent goes on."""
    agent = AgentFactory()
    response = client.post(f"/api/agents/{agent.session_uuid}/end", json={})

    assert response.status_code == 422
    assert response.json["error"]["fields"] == {"reason": "is required"}
    assert db_session.scalar(select(Agent.ended_at)) is None


def test_an_agent_is_deleted(client, db_session):
    """204; its project stays."""
    agent = AgentFactory()
    response = client.delete(f"/api/agents/{agent.session_uuid}")

    assert (response.status_code, response.data) == (204, b"")
    assert db_session.scalar(select(func.count(Agent.id))) == 0
    assert db_session.scalar(select(func.count(Project.id))) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/api/agents/{SESSION}"),
        ("POST", f"/api/agents/{SESSION}/heartbeat"),
        ("POST", f"/api/agents/{SESSION}/end"),
        ("DELETE", f"/api/agents/{SESSION}"),
    ],
)
def test_an_agent_that_is_not_there_is_404(method, path, client):
    """Whatever is to be done with it."""
    ProjectFactory()

    response = client.open(path, method=method, json={"reason": "closed"})
    assert response.status_code == 404
    assert response.json["error"]["message"] == f"there is no agent {SESSION}"
