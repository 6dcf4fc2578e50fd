"""``/api/objectives`` through the HTTP client, down to the rows."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from claude_headspace.models import Objective, ObjectiveHistory
from tests.integration.factories import ObjectiveFactory, ObjectiveHistoryFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOBODY = 2**31 - 1


def test_a_posted_objective_is_stored_with_its_history(client, db_session):
    """201; objective and first wording are one transaction."""
    body = {"text": "Ship it", "constraints": "By Friday"}
    response = client.post("/api/objectives", json=body)

    objective = db_session.scalars(select(Objective)).one()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/objectives/{objective.id}"
    assert (objective.current_text, objective.constraints) == ("Ship it", "By Friday")
    assert [row.text for row in objective.history] == ["Ship it"]


def test_an_objective_is_answered_as_it_is_stored(client):
    """As it holds at present."""
    objective = ObjectiveFactory(current_text="Ship it", constraints=None, set_at=NOON)

    response = client.get(f"/api/objectives/{objective.id}")
    assert response.status_code == 200
    assert response.json == {
        "id": objective.id,
        "current_text": "Ship it",
        "constraints": None,
        "set_at": "2026-03-04T12:00:00+00:00",
    }


def test_objectives_are_listed(client):
    """The one set last first, in parts."""
    ObjectiveFactory(set_at=NOON)
    older = ObjectiveFactory(set_at=NOON - timedelta(days=1))

    response = client.get("/api/objectives?limit=1&offset=1")
    assert response.status_code == 200
    assert [item["id"] for item in response.json["items"]] == [older.id]


def test_a_new_wording_is_stored(client, db_session):
    """What held until now goes to the history, with its end."""
    history = ObjectiveHistoryFactory()
    response = client.put(f"/api/objectives/{history.objective_id}", json={"text": "Ship it well"})

    wordings = select(ObjectiveHistory.text, ObjectiveHistory.ended_at.is_(None))
    assert response.status_code == 200
    assert response.json["current_text"] == "Ship it well"
    assert db_session.execute(wordings.order_by(ObjectiveHistory.id)).all() == [
        ("Objective 0", False),
        ("Ship it well", True),
    ]


def test_the_history_is_answered(client):
    """The wording that holds first, in parts."""
    history = ObjectiveHistoryFactory(objective__set_at=NOON)
    client.put(f"/api/objectives/{history.objective_id}", json={"text": "Ship it well"})

    newest = client.get(f"/api/objectives/{history.objective_id}/history?limit=1")
    oldest = client.get(f"/api/objectives/{history.objective_id}/history?offset=1")
    assert [item["text"] for item in newest.json["items"]] == ["Ship it well"]
    assert oldest.json["items"] == [
        {
            "id": history.id,
            "objective_id": history.objective_id,
            "text": "Objective 0",
            "constraints": "No downtime",
            "started_at": "2026-03-04T12:00:00+00:00",
            "ended_at": newest.json["items"][0]["started_at"],
        }
    ]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"text": "is required"}),
        ({"text": " "}, {"text": "must not be empty"}),
        ({"text": "Ship it", "constraints": []}, {"constraints": "must be a string"}),
    ],
)
def test_a_wrong_wording_is_refused(method, body, fields, client, db_session):
    """422, and the history stays as it is."""
    history = ObjectiveHistoryFactory()
    path = {"POST": "/api/objectives", "PUT": f"/api/objectives/{history.objective_id}"}[method]
    response = client.open(path, method=method, json=body)

    assert response.status_code == 422
    assert response.json["error"]["fields"] == fields
    assert db_session.scalar(select(func.count(ObjectiveHistory.id))) == 1


def test_an_objective_is_deleted(client, db_session):
    """204, and its history is gone too."""
    history = ObjectiveHistoryFactory()
    response = client.delete(f"/api/objectives/{history.objective_id}")

    assert (response.status_code, response.data) == (204, b"")
    assert db_session.scalar(select(func.count(Objective.id))) == 0
    assert db_session.scalar(select(func.count(ObjectiveHistory.id))) == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/api/objectives/{NOBODY}"),
        ("GET", f"/api/objectives/{NOBODY}/history"),
        ("PUT", f"/api/objectives/{NOBODY}"),
        ("DELETE", f"/api/objectives/{NOBODY}"),
    ],
)
def test_an_objective_that_is_not_there_is_404(method, path, client):
    """Whatever is to be done with it."""
    response = client.open(path, method=method, json={"text": "Ship it"})

    assert response.status_code == 404
    assert response.json["error"]["message"] == f"there is no objective {NOBODY}"


def test_a_longer_list_takes_no_more_statements(client, pg):
    """Twenty objectives are answered as cheaply as one."""
    ObjectiveHistoryFactory()
    with pg.counting() as of_one:
        client.get("/api/objectives")
    ObjectiveHistoryFactory.create_batch(19)
    with pg.counting() as of_twenty:
        client.get("/api/objectives")

    assert len(of_one) == len(of_twenty) == 1
