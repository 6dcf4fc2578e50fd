"""The client on the test database."""

import pytest
from shop import create_app


@pytest.fixture
def client(pg):
    """An HTTP client of the shop."""
    return create_app(SQLALCHEMY_DATABASE_URI=pg.url).test_client()
