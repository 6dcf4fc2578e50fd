"""# pgsandbox: ignore[PGS301] in a string is no comment."""

import time
from unittest.mock import (
    MagicMock,
    patch,
)

from sqlalchemy.orm import Session

TEXT = "# pgsandbox: ignore"


@patch(
    "sqlalchemy.orm.Session.commit",  # pgsandbox: ignore[PGS201] the server can't be made to fail so
)
def test_comments(commit, db_session):
    time.sleep(1)  # type: ignore[misc]  # pgsandbox: ignore[PGS301] the clock counts seconds
    # pgsandbox: ignore[PGS301, PGS201] a test of the lock's own time-out
    time.sleep(1) if commit else MagicMock(spec=Session)

    assert TEXT
