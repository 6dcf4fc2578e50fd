import pytest

from myapp.models import Base


# --8<-- [start:bad]
@pytest.fixture(autouse=True)
def clean(db_session):
    yield
    for table in reversed(Base.metadata.sorted_tables):
        db_session.execute(table.delete())
    db_session.commit()
# --8<-- [end:bad]
