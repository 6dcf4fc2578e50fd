from sqlalchemy import select

from myapp.models import User
from myapp.users import register


# --8<-- [start:good]
def test_a_user_is_stored(db_session):
    register("Ada")

    assert db_session.scalar(select(User.name)) == "Ada"
# --8<-- [end:good]
