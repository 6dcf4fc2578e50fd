from unittest import mock
from unittest.mock import AsyncMock, MagicMock, create_autospec

import pytest
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session as S

import myapp.database
from myapp import database, db
from myapp.database import get_db
from myapp.models import User
from myapp.users import UserRepository, register

override = MagicMock()


def override_get_db():
    yield override


@mock.patch("myapp.database.SessionLocal")
@mock.patch("myapp.users.db")
@mock.patch("sqlalchemy.orm.Session.commit")
@mock.patch("elsewhere.models.User.query")
@mock.patch("elsewhere.db.session.commit")
def test_by_name(*mocks):
    assert mocks


def test_by_object(mocker, monkeypatch, db_session, app):
    app.dependency_overrides[get_db] = override_get_db
    monkeypatch.setattr("myapp.database.engine", None)
    monkeypatch.setattr(db, "session", None)
    monkeypatch.setattr(db_session, "flush", None)
    monkeypatch.delattr(myapp.database, "SessionLocal")
    mocker.patch("myapp.users.db.session.add")
    mocker.patch.object(UserRepository, "find", return_value=None)
    repository = UserRepository(db_session)
    with mock.patch.object(repository, "find"), mock.patch.object(S, "execute"):
        assert register("Ada") is None
    with mock.patch.multiple("myapp.database", engine=None, URL="x"):
        assert database


def test_specified(mocker):
    assert MagicMock(spec=S)
    assert AsyncMock(spec_set=AsyncSession)
    assert create_autospec(Engine)
    assert mocker.Mock(spec=UserRepository)
    assert mock.Mock(User.query)


def test_arranged():
    session = MagicMock()
    session.query.return_value.filter.return_value.first.return_value = None
    db = mock.Mock()
    register("Ada")

    db.commit.assert_called_once()


@pytest.fixture
def mock_session():
    mock_session = AsyncMock()
    mock_session.execute.return_value = []
    return mock_session


@pytest.fixture
def session():
    return MagicMock()


def test_a_fixture(session):
    session.scalars.return_value.all.return_value = []
    flask_db = MagicMock()
    flask_db.session.query.return_value.first.return_value = None

    assert register("Ada") is None
