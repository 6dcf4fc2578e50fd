import unittest

import pytest
from sqlalchemy import text
from sqlmodel import delete

from myapp import db
from myapp.models import User


@pytest.fixture(scope="session", autouse=True)
def database(db_session):
    yield db_session
    statement = delete(User)
    db_session.execute(statement)
    db_session.commit()


@pytest.fixture
def no_users():
    db.session.query(User).delete()
    db.session.commit()


@pytest.fixture
def user(db_session):
    user = User(name="Ada")
    db_session.add(user)
    db_session.commit()
    yield user
    db_session.delete(user)
    db_session.commit()


class TestUsers(unittest.TestCase):
    def tearDown(self):
        db.session.execute(text("DELETE FROM users"))
        db.session.commit()
