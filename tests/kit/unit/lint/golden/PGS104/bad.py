import pytest

from myapp.models import Base


# --8<-- [start:bad]
@pytest.fixture(autouse=True)
def tables(db_engine):
    Base.metadata.create_all(db_engine)
    yield
    Base.metadata.drop_all(db_engine)
# --8<-- [end:bad]
