"""``/api/reports`` through the HTTP client."""

from datetime import UTC, datetime

from claude_headspace.domain.states import TaskState
from tests.integration.factories import TaskFactory, TurnFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_turns_are_reported_per_task(client):
    """Of one project, in parts."""
    turn = TurnFactory(timestamp=NOON)
    TurnFactory()

    response = client.get(
        f"/api/reports/turns-per-task?project_id={turn.task.agent.project_id}&limit=5"
    )
    assert response.status_code == 200
    assert response.json == {
        "items": [
            {
                "task_id": turn.task_id,
                "agent_id": turn.task.agent_id,
                "state": "commanded",
                "turns": 1,
                "user_turns": 1,
                "agent_turns": 0,
                "first_turn_at": "2026-03-04T12:00:00+00:00",
                "last_turn_at": "2026-03-04T12:00:00+00:00",
            }
        ],
        "limit": 5,
        "offset": 0,
    }


def test_times_are_reported_in_seconds(client):
    """Every state but complete, up to the given time."""
    task = TaskFactory(state=TaskState.PROCESSING, started_at=NOON)

    response = client.get(
        "/api/reports/time-per-state",
        query_string={"agent_id": task.agent_id, "until": "2026-03-04T12:01:30Z"},
    )
    assert response.status_code == 200
    assert response.json == {
        "seconds": {"idle": 0, "commanded": 0, "processing": 90, "awaiting_input": 0}
    }
