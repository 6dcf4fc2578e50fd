"""What holds for every address: lists, refusals, errors as JSON; and ``/health``."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from claude_headspace import create_app
from claude_headspace.database import db
from tests.integration.factories import (
    AgentFactory,
    EventFactory,
    ObjectiveFactory,
    ObjectiveHistoryFactory,
    ProjectFactory,
    TaskFactory,
    TurnFactory,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
NOBODY = 2**31 - 1
SESSION = "5ca1ab1e-0000-4000-8000-000000000000"
AGENT = {"session_uuid": SESSION, "project_path": "/srv/one"}
TURN = {"session_uuid": SESSION, "actor": "user", "text": "Write the tests"}
UNSTORABLE = "must be text without NUL characters and lone surrogates"


# --- lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "make", "column", "values", "order"),
    [
        ("/api/projects", ProjectFactory, "name", ["bee", "bee", "ape"], [2, 0, 1]),
        ("/api/agents", AgentFactory, "last_seen_at", [NOON, NOON, LATER], [2, 1, 0]),
        ("/api/tasks", TaskFactory, "started_at", [NOON, NOON, LATER], [2, 1, 0]),
        ("/api/turns", TurnFactory, "timestamp", [LATER, NOON, NOON], [1, 2, 0]),
        ("/api/events", EventFactory, "timestamp", [NOON, NOON, LATER], [2, 1, 0]),
        ("/api/objectives", ObjectiveFactory, "set_at", [NOON, NOON, LATER], [2, 1, 0]),
    ],
)
def test_a_list_has_an_order_and_parts(path, make, column, values, order, client):
    """Where the column can't tell, the id does; limit and offset are those of the answer."""
    ids = [make(**{column: value}).id for value in values]
    whole = client.get(path)
    part = client.get(path, query_string={"limit": 1, "offset": 1})

    assert [item["id"] for item in whole.json["items"]] == [ids[i] for i in order]
    assert [item["id"] for item in part.json["items"]] == [ids[order[1]]]
    assert (part.status_code, part.json["limit"], part.json["offset"]) == (200, 1, 1)


@pytest.mark.parametrize(
    ("path", "make", "column"),
    [
        ("/api/agents", AgentFactory, "project_id"),
        ("/api/tasks", TaskFactory, "agent_id"),
        ("/api/turns", TurnFactory, "task_id"),
        ("/api/events", EventFactory, "project_id"),
        ("/api/events", EventFactory, "agent_id"),
    ],
)
def test_a_list_is_filtered(path, make, column, client):
    """What belongs to another is left out."""
    wanted, _ = make.create_batch(2)

    response = client.get(path, query_string={column: getattr(wanted, column)})
    assert [item["id"] for item in response.json["items"]] == [wanted.id]


@pytest.mark.parametrize(
    ("path", "make"),
    [
        ("/api/agents", TaskFactory),
        ("/api/tasks", TurnFactory),
        ("/api/turns", TurnFactory),
        ("/api/events", EventFactory),
        ("/api/objectives", ObjectiveHistoryFactory),
        ("/api/reports/turns-per-task", TurnFactory),
        ("/api/reports/time-per-state", TurnFactory),
    ],
)
def test_a_longer_list_takes_no_more_statements(path, make, client, pg):
    """Twenty rows are answered as cheaply as one."""
    make()
    with pg.counting() as of_one:
        client.get(path)
    make.create_batch(19)
    with pg.counting() as of_twenty:
        client.get(path)

    assert len(of_one) == len(of_twenty) == 1


# --- refused requests -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/api/projects", {}, {"path": "is required"}),
        ("/api/projects", {"path": "one"}, {"path": "must be an absolute path"}),
        ("/api/projects", {"path": " "}, {"path": "must not be empty"}),
        ("/api/projects", {"path": 7}, {"path": "must be a string"}),
        ("/api/projects", {"path": "/srv/\0"}, {"path": UNSTORABLE}),
        ("/api/projects", {"path": "/srv/\ud800"}, {"path": UNSTORABLE}),
        ("/api/projects", {"path": "/srv/one", "name": ""}, {"name": "must not be empty"}),
        ("/api/projects", {"path": "/srv/one", "colour": 1}, {"colour": "is not known here"}),
        ("/api/agents", {}, {"session_uuid": "is required", "project_path": "is required"}),
        ("/api/agents", AGENT | {"session_uuid": "one"}, {"session_uuid": "must be a UUID"}),
        ("/api/agents", AGENT | {"iterm_pane_id": 1}, {"iterm_pane_id": "must be a string"}),
        ("/api/turns", TURN | {"session_uuid": 1}, {"session_uuid": "must be a UUID"}),
        ("/api/turns", TURN | {"actor": None}, {"actor": "is required"}),
        ("/api/turns", TURN | {"actor": "manager"}, {"actor": "must be one of user, agent"}),
        ("/api/turns", TURN | {"text": None}, {"text": "is required"}),
        (
            "/api/turns",
            TURN | {"intent": "gossip"},
            {"intent": "must be one of command, answer, question, completion, progress"},
        ),
        ("/api/objectives", {}, {"text": "is required"}),
        ("/api/objectives", {"text": " "}, {"text": "must not be empty"}),
        (
            "/api/objectives",
            {"text": "Ship it", "constraints": []},
            {"constraints": "must be a string"},
        ),
        ("/api/events", {}, {"event_type": "is required"}),
        (
            "/api/events",
            {"event_type": "notification_sent", "payload": "text"},
            {"payload": "must be an object"},
        ),
        (
            "/api/events",
            {"event_type": "notification_sent", "agent_id": True},
            {"agent_id": f"must be a whole number from 1 to {NOBODY}"},
        ),
        (
            "/api/events",
            {"event_type": "session_ended", "payload": {"reason": "closed"}},
            {"payload.session_uuid": "is required"},
        ),
    ],
)
def test_a_wrong_body_is_refused(path, body, fields, client, pg):
    """422 says what is wrong with every field, and the database is not asked."""
    with pg.counting() as queries:
        response = client.post(path, json=body)

    assert response.status_code == 422
    assert response.json["error"]["code"] == "invalid"
    assert response.json["error"]["fields"] == fields
    assert len(queries) == 0


@pytest.mark.parametrize(
    ("path", "name", "why"),
    [
        ("/api/projects?limit=0", "limit", "must be a whole number from 1 to 200"),
        ("/api/projects?limit=201", "limit", "must be a whole number from 1 to 200"),
        ("/api/projects?limit=many", "limit", "must be a whole number from 1 to 200"),
        ("/api/projects?offset=-1", "offset", "must be a whole number from 0"),
        ("/api/projects?offset=99999999999999999999", "offset", "must be a whole number from 0"),
        ("/api/agents?project_id=0", "project_id", "must be a whole number from 1"),
        ("/api/agents?active=perhaps", "active", "must be true or false"),
        ("/api/agents?colour=red", "colour", "is not known here"),
        ("/api/tasks?state=paused", "state", "must be one of idle, commanded, processing"),
        ("/api/events?since=yesterday", "since", "must be a time in ISO 8601"),
        ("/api/events?since=2026-03-04T12:00:00", "since", "with its offset from UTC"),
        ("/api/events?event_type=coffee", "event_type", "must be one of session_discovered"),
        ("/api/reports/turns-per-task?task_id=x", "task_id", "must be a whole number"),
        ("/api/reports/time-per-state?until=12", "until", "must be a time in ISO 8601"),
        ("/api/reports/time-per-state?limit=5", "limit", "is not known here"),
    ],
)
def test_a_wrong_query_is_refused(path, name, why, client):
    """422 says what is wrong with which parameter; a time without its offset could be any."""
    response = client.get(path)

    assert response.status_code == 422
    assert list(response.json["error"]["fields"]) == [name]
    assert why in response.json["error"]["fields"][name]


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
    ("method", "path", "body", "what"),
    [
        ("GET", f"/api/projects/{NOBODY}", {}, f"project {NOBODY}"),
        ("PATCH", f"/api/projects/{NOBODY}", {}, f"project {NOBODY}"),
        ("DELETE", f"/api/projects/{NOBODY}", {}, f"project {NOBODY}"),
        ("GET", f"/api/agents/{SESSION}", {}, f"agent {SESSION}"),
        ("POST", f"/api/agents/{SESSION}/heartbeat", {}, f"agent {SESSION}"),
        ("POST", f"/api/agents/{SESSION}/end", {"reason": "closed"}, f"agent {SESSION}"),
        ("DELETE", f"/api/agents/{SESSION}", {}, f"agent {SESSION}"),
        ("GET", f"/api/tasks/{NOBODY}", {}, f"task {NOBODY}"),
        ("GET", f"/api/tasks/{NOBODY}/turns", {}, f"task {NOBODY}"),
        ("GET", f"/api/turns/{NOBODY}", {}, f"turn {NOBODY}"),
        ("POST", "/api/turns", TURN, f"agent {SESSION}"),
        ("GET", f"/api/events/{NOBODY}", {}, f"event {NOBODY}"),
        ("GET", f"/api/objectives/{NOBODY}", {}, f"objective {NOBODY}"),
        ("GET", f"/api/objectives/{NOBODY}/history", {}, f"objective {NOBODY}"),
        ("PUT", f"/api/objectives/{NOBODY}", {"text": "Ship it"}, f"objective {NOBODY}"),
        ("DELETE", f"/api/objectives/{NOBODY}", {}, f"objective {NOBODY}"),
    ],
)
def test_what_is_not_there_is_404(method, path, body, what, client):
    """Whatever is to be done with it; the message says which one was asked for."""
    response = client.open(path, method=method, json=body)

    assert response.status_code == 404
    assert response.json["error"] == {"code": "not_found", "message": f"there is no {what}"}


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


# --- what the database refuses --------------------------------------------------------------------


@pytest.fixture
def refusing(db_connection):
    """Let the database refuse every new project, with the code of an error that it knows."""

    def refuse(code):
        db_connection.execute(
            text(
                f"""
                CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE 'the database says no' USING ERRCODE = '{code}', CONSTRAINT = 'the_rule';
                END $$
                """
            )
        )
        db_connection.execute(
            text(
                "CREATE TRIGGER refuse BEFORE INSERT ON projects "
                "FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        )

    return refuse


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        ("unique_violation", 409, "exists already"),
        ("foreign_key_violation", 422, "refers to something that does not exist"),
        ("check_violation", 422, "breaks a rule of the database"),
    ],
)
def test_what_a_constraint_refuses_is_the_clients(code, status, why, refusing, client):
    """The answer names the constraint and none of the values."""
    refusing(code)
    response = client.post("/api/projects", json={"path": "/srv/secret"})

    assert response.status_code == status
    assert response.json["error"]["message"] == why
    assert response.json["error"]["constraint"] == "the_rule"
    assert "/srv/secret" not in response.text


def test_a_database_that_is_going_down_is_not_our_mistake(refusing, client, caplog):
    """503; the log has what the server said, and none of the values."""
    refusing("admin_shutdown")
    response = client.post("/api/projects", json={"path": "/srv/secret"})

    assert response.status_code == 503
    assert "the database says no" in caplog.text
    assert "/srv/secret" not in caplog.text


def test_a_request_after_a_refused_one_is_answered(client):
    """The refused request's transaction is rolled back, and the connection is as good as new."""
    ProjectFactory(path="/srv/one")
    refused = client.post("/api/events", json={"event_type": "notification_sent", "task_id": 1})
    answered = client.get("/api/projects")

    assert (refused.status_code, answered.status_code) == (422, 200)
    assert [item["path"] for item in answered.json["items"]] == ["/srv/one"]


# --- health ---------------------------------------------------------------------------------------


def test_an_application_whose_database_answers_is_healthy(client):
    """200 says that it can do its work."""
    response = client.get("/health")

    assert response.status_code == 200
    assert response.json == {"status": "ok", "database": "ok"}


def test_without_a_connection_nothing_is_answered(pg):
    """503 and not 500, since trying again will help; and nothing of where the database is."""
    app = create_app(
        SQLALCHEMY_DATABASE_URI=pg.url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": 0, "pool_timeout": 0},
    )
    with app.app_context(), db.engine.connect():
        health = app.test_client().get("/health")
        projects = app.test_client().get("/api/projects")

    assert (health.status_code, projects.status_code) == (503, 503)
    assert health.json == {"status": "unavailable", "database": "unreachable"}
    assert projects.json["error"]["code"] == "database_unavailable"
