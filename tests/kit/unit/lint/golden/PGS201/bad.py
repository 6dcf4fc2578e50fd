from unittest.mock import patch

from myapp.users import register


# --8<-- [start:bad]
@patch("myapp.users.db.session")
def test_a_user_is_stored(session):
    register("Ada")

    session.add.assert_called_once()
    session.commit.assert_called_once()
# --8<-- [end:bad]
