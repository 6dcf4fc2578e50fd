import pytest
from sqlalchemy import create_engine


# --8<-- [start:good]
@pytest.fixture
def serializable(pg):
    return create_engine(pg.url, isolation_level="SERIALIZABLE")
# --8<-- [end:good]
