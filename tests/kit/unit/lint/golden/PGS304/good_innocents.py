import subprocess
import unittest

import pytest
from sqlalchemy import select

from myapp.models import User
from tests.kit_helpers import count_users


def check_users(session):
    assert session.scalars(select(User)).all()


def then_they_are_there(session):
    check(session)


def check(session):
    if not session.scalars(select(User)).all():
        pytest.fail("none")


def test_by_a_function(db_session):
    db_session.add(User(name="Ada"))
    then_they_are_there(db_session)


def test_by_raises(db_session):
    db_session.add(User(name=None))
    with pytest.raises(ValueError):
        db_session.flush()


def test_by_another_module(db_session):
    db_session.add(User(name="Ada"))
    count_users(db_session)


def test_by_a_fixture(db_session, assert_logged):
    db_session.add(User(name="Ada"))
    db_session.commit()


def test_by_a_called_fixture(db_session, look_again):
    db_session.add(User(name="Ada"))
    look_again()


def test_one(db_session):
    db_session.add(User(name="Ada"))
    db_session.flush()
    db_session.scalars(select(User)).one()


def test_status(client):
    client.post("/users", status=404)


def test_a_commit_does_not_raise(db_session):
    db_session.commit()


def test_a_name_without_vowels_is_accepted(db_session):
    db_session.add(User(name="Tschk"))
    db_session.flush()


def test_a_command():
    session = open_http()
    session.get("https://example.org")
    subprocess.run(["true"], check=True)


def open_http():
    return None


class TestCase(unittest.TestCase):
    def test_method(self):
        db.session.add(User(name="Ada"))
        self.assertEqual(1, 1)

    def test_inherited(self):
        db.session.add(User(name="Ada"))
        self.then_it_is_there()
