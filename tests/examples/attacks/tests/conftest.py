"""What conftest files and fixtures of a wider scope try."""

import pytest
from attempts import attempt
from shop.database import engine
from shop.models import Base


def connect():
    """Open a connection by the engine of production."""
    engine.connect()


attempt("A conftest connects when it is imported", connect)


@pytest.fixture(scope="session", autouse=True)
def tables():
    """Make all tables anew, once for the run."""
    attempt("A session fixture drops all tables", lambda: Base.metadata.drop_all(engine))
