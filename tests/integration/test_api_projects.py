"""``/api/projects`` through the HTTP client, down to the rows."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from claude_headspace.domain.states import TaskState
from claude_headspace.models import Agent, Project
from tests.integration.factories import AgentFactory, ProjectFactory, TaskFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOBODY = 2**31 - 1


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


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"path": "is required"}),
        ({"path": "one"}, {"path": "must be an absolute path"}),
        ({"path": " "}, {"path": "must not be empty"}),
        ({"path": 7}, {"path": "must be a string"}),
        (
            {"path": "/srv/\0"},
            {"path": "must be text without NUL characters and lone surrogates"},
        ),
        (
            {"path": "/srv/\ud800"},
            {"path": "must be text without NUL characters and lone surrogates"},
        ),
        ({"path": "/srv/one", "name": ""}, {"name": "must not be empty"}),
        ({"path": "/srv/one", "colour": "red"}, {"colour": "is not known here"}),
    ],
)
def test_a_wrong_project_is_refused(body, fields, client, db_session):
    """422 says what is wrong with which field, and nothing is written."""
    response = client.post("/api/projects", json=body)

    assert response.status_code == 422
    assert response.json["error"]["code"] == "invalid"
    assert response.json["error"]["fields"] == fields
    assert db_session.scalar(select(func.count(Project.id))) == 0


def test_projects_are_listed(client):
    """By name, with which part of the list it is."""
    ProjectFactory.create_batch(3)

    response = client.get("/api/projects?limit=2&offset=1")
    assert response.status_code == 200
    assert [item["name"] for item in response.json["items"]] == ["project-1", "project-2"]
    assert (response.json["limit"], response.json["offset"]) == (2, 1)


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


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=many", "offset=-1", "offset=99999999999999999999"]
)
def test_an_impossible_part_of_the_list_is_refused(query, client):
    """422 names the parameter and what it may be."""
    response = client.get(f"/api/projects?{query}")

    assert response.status_code == 422
    (why,) = response.json["error"]["fields"].values()
    assert why.startswith("must be a whole number from")


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


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_project_that_is_not_there_is_404(method, client):
    """The message says which one was asked for."""
    response = client.open(f"/api/projects/{NOBODY}", method=method, json={})

    assert response.status_code == 404
    assert response.json["error"] == {
        "code": "not_found",
        "message": f"there is no project {NOBODY}",
    }
