from myapp.models import User


# --8<-- [start:bad]
def test_a_user_is_stored(db_session):
    db_session.add(User(name="Ada"))
    db_session.commit()
# --8<-- [end:bad]
