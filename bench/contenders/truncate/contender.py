"""Real commits, and TRUNCATE of every table after each test."""

import pytest
from base import SESSIONS
from database import database
from models import Base
from sqlalchemy import text


@pytest.fixture(scope="session")
def engine():
    """A database with the schema, for the run."""
    with database() as engine:
        Base.metadata.create_all(engine)
        yield engine


@pytest.fixture
def db_session(engine):
    """A session that commits for real."""
    SESSIONS.configure(bind=engine)
    yield SESSIONS()
    SESSIONS.remove()
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
