"""Tests that may use the test database, and reach for others."""

import asyncio

import asyncpg
import psycopg
import psycopg2
from attempts import attempt
from shop import reports
from shop.database import URL, SessionLocal, engine
from shop.models import Base, Order
from sqlalchemy import create_engine, delete
from sqlalchemy.engine import make_url

PLAIN = make_url(URL).set(drivername="postgresql").render_as_string(hide_password=False)


def test_purge():
    """What the fixture of many a suite does before each test."""

    def purge():
        with SessionLocal() as session:
            session.execute(delete(Order))
            session.commit()

    attempt("A test empties a table by the session maker of production", purge)


def test_tables():
    """By the engine of production."""
    attempt("A test calls drop_all()", lambda: Base.metadata.drop_all(engine))
    attempt("A test calls create_all()", lambda: Base.metadata.create_all(engine))


def test_application():
    """The code under test, with an engine that no test knows of."""
    attempt("The application makes an engine of its own", reports.count_orders)


def test_creator():
    """An engine that is told how to connect."""
    there = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(PLAIN))
    attempt("An engine connects by a creator", there.connect)


def test_drivers():
    """Without SQLAlchemy."""
    attempt("psycopg2.connect()", lambda: psycopg2.connect(PLAIN))
    attempt("psycopg.connect()", lambda: psycopg.connect(PLAIN))
    attempt("asyncpg.connect()", lambda: asyncio.run(asyncpg.connect(PLAIN)))


def test_sqlite():
    """It is not what production runs on."""
    attempt("A test uses SQLite", lambda: create_engine("sqlite://").connect())
