"""The application, whose context pytest-flask holds open during each test."""

import pytest
from shop import create_app


# --8<-- [start:app]
@pytest.fixture
def app():
    """pytest-flask asks for it by this name, and pushes its context around the test."""
    return create_app()


# --8<-- [end:app]
