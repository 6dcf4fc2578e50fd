import pytest


# --8<-- [start:good]
@pytest.fixture
def session(db_session):
    return db_session
# --8<-- [end:good]
