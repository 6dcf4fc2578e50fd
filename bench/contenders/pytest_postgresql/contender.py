"""pytest-postgresql: a database for each test, from the template that it loads once."""

import os

import pytest
from base import SESSIONS
from models import Base
from pytest_postgresql import factories
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

SERVER = make_url(os.environ["BENCH_SERVER"])


def load(**where):
    """Create the schema in the template."""
    url = SERVER.set(database=where["dbname"])
    engine = create_engine(url, poolclass=NullPool)
    Base.metadata.create_all(engine)
    engine.dispose()


server = factories.postgresql_noproc(
    host=SERVER.host or SERVER.query["host"],
    port=SERVER.port or int(SERVER.query.get("port", 5432)),
    user=SERVER.username,
    password=SERVER.password,
    dbname="bench_pytest_postgresql",
    load=[load],
)
shop = factories.postgresql("server")


@pytest.fixture
def db_session(shop):
    """A session that commits for real, into a database of its own."""
    url = SERVER.set(database=shop.info.dbname)
    engine = create_engine(url)
    SESSIONS.configure(bind=engine)
    yield SESSIONS()
    SESSIONS.remove()
    engine.dispose()
