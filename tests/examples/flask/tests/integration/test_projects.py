"""Requests that go all the way to PostgreSQL."""

# --8<-- [start:posted]
from myapp.models import Project
from sqlalchemy import select


def test_a_posted_project_is_stored(client, db_session):
    """What the request committed is there for the rest of the test."""
    client.post("/projects", json={"name": "one"})

    assert db_session.scalar(select(Project.name)) == "one"


# --8<-- [end:posted]


# --8<-- [start:taken]
def test_a_name_is_taken_once(client, db_session):
    """The unique constraint answers, and the test's own row survives the request's rollback."""
    db_session.add(Project(name="one"))
    db_session.flush()

    response = client.post("/projects", json={"name": "one"})

    assert response.status_code == 409
    assert db_session.scalars(select(Project.name)).all() == ["one"]


# --8<-- [end:taken]


# --8<-- [start:listed]
def test_projects_are_listed_by_name(client, db_session):
    """The application reads what the test has flushed; the test need not commit."""
    db_session.add_all([Project(name="two"), Project(name="one")])
    db_session.flush()

    assert client.get("/projects").json == {"names": ["one", "two"]}


# --8<-- [end:listed]
