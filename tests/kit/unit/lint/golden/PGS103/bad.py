import pytest

from myapp import create_app


# --8<-- [start:bad]
@pytest.fixture
def app():
    return create_app(SQLALCHEMY_DATABASE_URI="sqlite:///:memory:")
# --8<-- [end:bad]
