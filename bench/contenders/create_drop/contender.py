"""Real commits, and create_all before and drop_all after each test."""

import pytest
from base import SESSIONS
from database import database
from models import Base


@pytest.fixture(scope="session")
def engine():
    """An empty database, for the run."""
    with database() as engine:
        yield engine


@pytest.fixture
def db_session(engine):
    """A session that commits for real, into tables of its own."""
    Base.metadata.create_all(engine)
    SESSIONS.configure(bind=engine)
    yield SESSIONS()
    SESSIONS.remove()
    Base.metadata.drop_all(engine)
