"""from myapp.database import engine is what a docstring may say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import myapp.database as database
from myapp import create_app, db
from myapp.database import ScopedUnbound, Unbound, get_db
from myapp.models import User
from myapp.net import engine as motor, session as http

if TYPE_CHECKING:
    from myapp.database import SessionLocal, engine

TEXT = "from myapp.database import SessionLocal"


def test_the_import_is_written(monkeypatch, db_engine):
    monkeypatch.setattr(database, "engine", db_engine)

    assert TEXT.startswith("from myapp.database import")
    assert [create_app, db.session, ScopedUnbound, Unbound, get_db, User, motor, http]


def test_another_engine_is_put_there(db_engine):
    database.engine = db_engine
    del database.session

    assert database
