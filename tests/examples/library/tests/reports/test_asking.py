"""Tests that stand outside of ``paths`` have to ask."""

import pytest
from library.models import Author
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session


# --8<-- [start:fixture]
def test_a_fixture_asks(db_session):
    """Any of db_session, db_connection, db_engine and pg."""
    assert db_session.scalars(select(Author)).all() == []


# --8<-- [end:fixture]


@pytest.fixture
def application_url(pg):
    """Where the application's own settings lead to."""
    return pg.url


# --8<-- [start:marker]
@pytest.mark.pgsandbox
def test_the_marker_asks(application_url):
    """For a test whose code opens the database while the test itself needs no fixture."""
    with Session(create_engine(application_url)) as session:
        assert session.scalars(select(Author)).all() == []


# --8<-- [end:marker]
