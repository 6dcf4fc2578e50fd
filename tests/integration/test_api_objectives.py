"""``/api/objectives`` through the HTTP client, down to the rows."""

from datetime import UTC, datetime

from sqlalchemy import func, select

from claude_headspace.models import Objective, ObjectiveHistory
from tests.integration.factories import ObjectiveFactory, ObjectiveHistoryFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


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


def test_a_new_wording_closes_the_one_before(client):
    """The history has the wording that holds first, in parts, and none of other objectives."""
    history = ObjectiveHistoryFactory(objective__set_at=NOON)
    ObjectiveHistoryFactory()
    path = f"/api/objectives/{history.objective_id}"
    changed = client.put(path, json={"text": "Ship it well"})
    newest = client.get(f"{path}/history?limit=1").json["items"]
    oldest = client.get(f"{path}/history?offset=1").json["items"]

    assert (changed.status_code, changed.json["current_text"]) == (200, "Ship it well")
    assert [(item["text"], item["ended_at"]) for item in newest] == [("Ship it well", None)]
    assert oldest == [
        {
            "id": history.id,
            "objective_id": history.objective_id,
            "text": "Objective 0",
            "constraints": "No downtime",
            "started_at": "2026-03-04T12:00:00+00:00",
            "ended_at": newest[0]["started_at"],
        }
    ]


def test_a_wrong_wording_changes_nothing(client, db_session):
    """422, and what holds goes on."""
    history = ObjectiveHistoryFactory()
    response = client.put(f"/api/objectives/{history.objective_id}", json={"text": " "})

    assert response.status_code == 422
    assert response.json["error"]["fields"] == {"text": "must not be empty"}
    assert db_session.scalars(select(ObjectiveHistory.ended_at)).all() == [None]


def test_an_objective_is_deleted(client, db_session):
    """204, and its history is gone too."""
    history = ObjectiveHistoryFactory()
    response = client.delete(f"/api/objectives/{history.objective_id}")

    assert (response.status_code, response.data) == (204, b"")
    assert db_session.scalar(select(func.count(Objective.id))) == 0
    assert db_session.scalar(select(func.count(ObjectiveHistory.id))) == 0
