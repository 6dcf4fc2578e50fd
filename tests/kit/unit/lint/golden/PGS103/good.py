import pytest

from myapp import create_app


# --8<-- [start:good]
@pytest.fixture
def app(pg):
    return create_app(SQLALCHEMY_DATABASE_URI=pg.url)
# --8<-- [end:good]
