"""The hand-written recipe: a session joined to an outer transaction that is rolled back.

SQLAlchemy's documentation, "Joining a Session into an External Transaction".
"""

import pytest
from base import SESSIONS
from database import database
from models import Base


@pytest.fixture(scope="session")
def engine():
    """A database with the schema, for the run."""
    with database() as engine:
        Base.metadata.create_all(engine)
        yield engine


@pytest.fixture
def db_session(engine):
    """A session whose commits are savepoints of a transaction that never commits."""
    connection = engine.connect()
    transaction = connection.begin()
    SESSIONS.configure(bind=connection, join_transaction_mode="create_savepoint")
    yield SESSIONS()
    SESSIONS.remove()
    transaction.rollback()
    connection.close()
