"""mock.patch("myapp.database.SessionLocal") is what this file does not do."""

import time
from unittest import mock
from unittest.mock import MagicMock, Mock, patch

import requests
from sqlalchemy.orm import sessionmaker

from myapp import database, db, net
from myapp.database import get_db
from myapp.net import GitRepository, session
from myapp.users import register

NAME = "myapp.database.SessionLocal"


@patch("myapp.net.session")
@patch("myapp.net.engine")
@patch("myapp.net.get_session")
@patch("myapp.users.cookie")
@patch("requests.Session.get")
@patch("flask.session")
@mock.patch.dict("os.environ", {"DATABASE_URL": "x"})
def test_other_sessions(*mocks):
    assert mocks


def test_objects(mocker, monkeypatch, db_session, db_engine, client, app):
    monkeypatch.setattr(net, "session", Mock())
    monkeypatch.setattr(session, "get", Mock())
    monkeypatch.setattr(time, "sleep", Mock())
    monkeypatch.setattr(GitRepository, "commit", Mock())
    mocker.patch.object(requests, "Session")
    assert MagicMock(spec=requests.Session)
    assert Mock(spec=GitRepository)

    monkeypatch.setattr("myapp.database.engine", db_engine)
    monkeypatch.setattr(database, "SessionLocal", sessionmaker(db_engine))
    app.dependency_overrides[get_db] = lambda: db_session
    with patch("myapp.database.SessionLocal", return_value=db_session):
        assert register("Ada") is None
    with patch.object(db.session, "commit", wraps=db.session.commit) as commit:
        register("Grace")
    assert commit.call_count == 1
    client.patch("/users/1", json={"query": NAME})


def test_http():
    session = MagicMock()
    session.get.return_value.json.return_value = {}
    session.close.assert_not_called()
    mailer = MagicMock()
    mailer.execute.return_value = None
    executor = MagicMock()
    executor.query.side_effect = ValueError

    assert [session, mailer, executor]
