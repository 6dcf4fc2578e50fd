"""The checks that the kit brings ready-made, on every migration of this application."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from pgsandbox.plugin.migration_tests import *  # noqa: F403  # pytest collects what it brings
from pgsandbox.plugin.migration_tests import MigrationRows


# --8<-- [start:rows]
@pytest.fixture
def pgsandbox_migration_rows():
    """A session of 0004, when its column had another name."""
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    project = {"id": 1, "name": "one", "path": "/srv/one", "created_at": noon}
    agent = {
        "id": 1,
        "session_uuid": UUID(int=1),
        "project_id": 1,
        "claude_session": "abc",
        "started_at": noon,
        "last_seen_at": noon,
    }
    return [
        MigrationRows(
            at="0004",
            rows={"projects": [project], "agents": [agent]},
            after="0005",
            expected={"agents": [{"id": 1, "claude_session_id": "abc"}]},
        )
    ]


# --8<-- [end:rows]
