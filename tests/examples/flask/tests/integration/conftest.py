# ruff: noqa: D100, D103  # the README shows this file, and says what it is
# --8<-- [start:client]
import pytest
from myapp import create_app


@pytest.fixture
def client(pg):
    return create_app(SQLALCHEMY_DATABASE_URI=pg.url).test_client()


# --8<-- [end:client]
