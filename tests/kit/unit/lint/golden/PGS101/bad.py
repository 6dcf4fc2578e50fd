from sqlalchemy import select

from myapp.models import User

# --8<-- [start:bad]
from myapp.database import SessionLocal


def test_a_user_is_stored():
    with SessionLocal() as session:
        session.add(User(name="Ada"))
        session.commit()

        assert session.scalar(select(User.name)) == "Ada"
# --8<-- [end:bad]
