"""``/api/projects`` through the HTTP client, down to the rows."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from claude_headspace.domain.states import TaskState
from claude_headspace.models import Agent, Project
from tests.integration.factories import AgentFactory, ProjectFactory, TaskFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


# --8<-- [start:request]
def test_a_posted_project_is_stored(client, db_session):
    """201, and the row is there: the request committed it."""
    response = client.post("/api/projects", json={"path": "/srv/one", "name": "Headspace"})

    project = db_session.scalars(select(Project)).one()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/projects/{project.id}"
    assert (project.name, project.path) == ("Headspace", "/srv/one")


# --8<-- [end:request]


def test_a_project_is_answered_as_it_is_stored(client):
    """Its agents are counted in each of the four states that they can be in."""
    project = ProjectFactory(created_at=NOON)
    TaskFactory(agent__project=project, state=TaskState.PROCESSING)
    AgentFactory(project=project)

    response = client.get(f"/api/projects/{project.id}")
    assert response.status_code == 200
    assert response.json == {
        "id": project.id,
        "name": "project-0",
        "path": "/srv/project-0",
        "github_repo": "https://github.com/dev/project-0",
        "current_branch": "main",
        "created_at": "2026-03-04T12:00:00+00:00",
        "agents": {"idle": 1, "commanded": 0, "processing": 1, "awaiting_input": 0},
    }


def test_a_known_path_is_answered_with_its_project(client, db_session):
    """200 and not 201; nothing changes."""
    project = ProjectFactory(path="/srv/one", name="one")
    response = client.post("/api/projects", json={"path": "/srv/one/", "name": "two"})

    assert response.status_code == 200
    assert (response.json["id"], response.json["name"]) == (project.id, "one")
    assert db_session.scalar(select(func.count(Project.id))) == 1


# --8<-- [start:counting]
def test_a_longer_list_takes_no_more_statements(client, pg):
    """Twenty projects with their agents are answered as cheaply as one."""
    TaskFactory()
    with pg.counting() as of_one:
        client.get("/api/projects")
    TaskFactory.create_batch(19)
    with pg.counting() as of_twenty:
        client.get("/api/projects")

    assert len(of_one) == len(of_twenty) == 1


# --8<-- [end:counting]


def test_a_project_is_changed(client, fresh_session):
    """Null takes repository and branch away; what is not named stays."""
    project = ProjectFactory(name="old", current_branch="main")
    response = client.patch(
        f"/api/projects/{project.id}", json={"name": "new", "github_repo": None}
    )

    read = fresh_session.get(Project, project.id)
    assert response.status_code == 200
    assert (response.json["name"], response.json["github_repo"]) == ("new", None)
    assert (read.name, read.github_repo, read.current_branch) == ("new", None, "main")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"name": None}, {"name": "is required"}),
        ({"path": "/srv/two"}, {"path": "is not known here"}),
    ],
)
def test_a_project_can_not_be_changed_into_anything(changes, fields, client):
    """It has a name, and its path is its identity."""
    project = ProjectFactory()

    response = client.patch(f"/api/projects/{project.id}", json=changes)
    assert response.status_code == 422
    assert response.json["error"]["fields"] == fields


def test_a_project_is_deleted(client, db_session):
    """204, and its agents are gone too."""
    agent = AgentFactory()
    response = client.delete(f"/api/projects/{agent.project_id}")

    assert (response.status_code, response.data) == (204, b"")
    assert db_session.scalar(select(func.count(Project.id))) == 0
    assert db_session.scalar(select(func.count(Agent.id))) == 0
