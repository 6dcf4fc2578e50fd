"""Every error is JSON, with the status that says whose it is; and ``/health``."""

import pytest
from sqlalchemy import text

from claude_headspace import create_app
from claude_headspace.database import db
from tests.integration.factories import ProjectFactory


@pytest.fixture
def busy_client(pg):
    """A client of an application whose only connection is in use, and which does not wait."""
    app = create_app(
        SQLALCHEMY_DATABASE_URI=pg.url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": 0, "pool_timeout": 0},
        TESTING=True,
    )
    with app.app_context(), db.engine.connect():
        yield app.test_client()


def test_an_application_whose_database_answers_is_healthy(client):
    """200 says that it can do its work."""
    response = client.get("/health")

    assert response.status_code == 200
    assert response.json == {"status": "ok", "database": "ok"}


def test_an_application_without_a_connection_is_not_healthy(busy_client):
    """503 says nothing of where the database is."""
    response = busy_client.get("/health")

    assert response.status_code == 503
    assert response.json == {"status": "unavailable", "database": "unreachable"}


def test_without_a_connection_nothing_is_answered(busy_client):
    """503 and not 500: trying again will help."""
    response = busy_client.get("/api/projects")

    assert response.status_code == 503
    assert response.json["error"]["code"] == "database_unavailable"


def test_a_database_that_is_going_down_is_not_our_mistake(client, db_connection, caplog):
    """503; the log has what the server said, and none of the values."""
    db_connection.execute(
        text(
            """
            CREATE FUNCTION go_down() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE 'the database is going down' USING ERRCODE = 'admin_shutdown';
            END $$
            """
        )
    )
    db_connection.execute(
        text(
            "CREATE TRIGGER go_down BEFORE INSERT ON projects "
            "FOR EACH ROW EXECUTE FUNCTION go_down()"
        )
    )
    response = client.post("/api/projects", json={"path": "/srv/secret"})

    assert response.status_code == 503
    assert "the database is going down" in caplog.text
    assert "/srv/secret" not in caplog.text


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        ("unique_violation", 409, "exists already"),
        ("foreign_key_violation", 422, "refers to something that does not exist"),
        ("check_violation", 422, "breaks a rule of the database"),
    ],
)
def test_what_a_constraint_refuses_is_the_clients(code, status, why, client, db_connection):
    """The answer names the constraint and none of the values."""
    db_connection.execute(
        text(
            f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE 'no' USING ERRCODE = '{code}', CONSTRAINT = 'the_rule';
            END $$
            """
        )
    )
    db_connection.execute(
        text(
            "CREATE TRIGGER refuse BEFORE INSERT ON projects FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    )
    response = client.post("/api/projects", json={"path": "/srv/secret"})

    assert response.status_code == status
    assert response.json["error"]["message"] == why
    assert response.json["error"]["constraint"] == "the_rule"


def test_a_request_after_a_refused_one_is_answered(client):
    """The refused request's transaction is rolled back, and the connection is as good as new."""
    ProjectFactory(path="/srv/one")
    refused = client.post("/api/events", json={"event_type": "notification_sent", "task_id": 1})
    answered = client.get("/api/projects")

    assert (refused.status_code, answered.status_code) == (422, 200)
    assert [item["path"] for item in answered.json["items"]] == ["/srv/one"]


@pytest.mark.parametrize(
    ("request_options", "status", "code"),
    [
        ({"data": "{", "content_type": "application/json"}, 400, "bad_request"),
        ({"json": ["not", "an", "object"]}, 400, "bad_request"),
        ({"data": "[" * 100_000, "content_type": "application/json"}, 400, "bad_request"),
        ({"data": "path=/srv/one"}, 415, "unsupported_media_type"),
    ],
    ids=["half an object", "an array", "nested too deeply", "a form"],
)
def test_a_body_that_is_no_json_object_is_refused(request_options, status, code, client):
    """Before anything else is looked at."""
    response = client.post("/api/projects", **request_options)

    assert response.status_code == status
    assert response.json["error"]["code"] == code


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "not_found"),
        ("GET", "/api/projects/one", 404, "not_found"),
        ("GET", "/api/projects/0", 404, "not_found"),
        ("GET", "/api/projects/2147483648", 404, "not_found"),
        ("GET", "/api/agents/one", 404, "not_found"),
        ("PUT", "/api/projects", 405, "method_not_allowed"),
    ],
)
def test_a_wrong_address_is_answered_in_json(method, path, status, code, client):
    """No page for people, whatever was asked for."""
    response = client.open(path, method=method, json={})

    assert response.status_code == status
    assert response.json["error"]["code"] == code
