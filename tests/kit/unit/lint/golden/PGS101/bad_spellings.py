import myapp.database
from myapp import Local, database, make_session
from myapp.database import Scoped as Everything, async_engine, async_session, session
from myapp.everything import engine
from myapp.single import db


def test_by_module(db_session):
    with database.SessionLocal() as own:
        assert own
    assert myapp.database.engine is engine
    assert [Local, make_session, Everything, async_engine, async_session, session, db]


def test_inside():
    from myapp.database import SessionLocal

    assert SessionLocal
