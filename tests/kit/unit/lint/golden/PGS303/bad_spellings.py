import unittest

from myapp.models import User


def test_equal(db_session, client):
    user = User(name="Ada")
    db_session.add(user)
    db_session.flush()

    assert user.id == 1
    assert 2 == user.pk
    assert user.name == "Ada" and client.get("/users").json[0]["id"] == 1


class TestUsers(unittest.TestCase):
    def test_method(self):
        assert User(name="Ada").id == 12
