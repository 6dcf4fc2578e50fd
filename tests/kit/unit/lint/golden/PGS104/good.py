from sqlalchemy import select

from myapp.models import User


# --8<-- [start:good]
def test_the_table_is_there(db_session):
    assert db_session.scalars(select(User)).all() == []
# --8<-- [end:good]
