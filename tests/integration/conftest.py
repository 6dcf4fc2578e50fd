"""What the integration tests share. Nothing here cleans up: each test is a transaction."""

# --8<-- [start:conftest]
import pytest
from sqlalchemy.orm import Session

from claude_headspace import create_app


@pytest.fixture
def app(pg):
    """The application on the test database, configured as in production otherwise."""
    return create_app(SQLALCHEMY_DATABASE_URI=pg.url, TESTING=True)


@pytest.fixture
def client(app):
    """An HTTP client of the application."""
    return app.test_client()


@pytest.fixture
def fresh_session(db_engine):
    """A session that shares no object with db_session: what it reads, the database has."""
    with Session(db_engine) as session:
        yield session


# --8<-- [end:conftest]
