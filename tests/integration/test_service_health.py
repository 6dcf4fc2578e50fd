"""Health: whether the database answers a query."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from claude_headspace.services.health import database_answers


def test_a_database_that_answers_is_healthy(db_session):
    """One query is enough to know."""
    assert database_answers(db_session)


def test_a_database_that_refuses_the_query_is_not(fresh_session, caplog):
    """Why it does is in the log, and the session works again afterwards."""
    with pytest.raises(ProgrammingError):
        fresh_session.execute(text("SELECT nothing"))

    assert not database_answers(fresh_session)
    assert "the database does not answer" in caplog.text
    assert database_answers(fresh_session)
