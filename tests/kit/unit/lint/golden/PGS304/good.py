from sqlalchemy import select

from myapp.models import User


# --8<-- [start:good]
def test_a_user_is_stored(db_session):
    db_session.add(User(name="Ada"))
    db_session.commit()

    assert db_session.scalar(select(User.name)) == "Ada"
# --8<-- [end:good]
