from sqlalchemy import select

from myapp.models import User


# --8<-- [start:good]
def test_the_first_user(db_session):
    db_session.add(User(name="Ada"))
    db_session.commit()

    assert db_session.scalars(select(User.name)).all() == ["Ada"]
# --8<-- [end:good]
