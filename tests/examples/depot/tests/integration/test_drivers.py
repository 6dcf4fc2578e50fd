"""Several drivers in one test, and drivers without SQLAlchemy."""

import asyncio

import asyncpg
import psycopg2
import pytest
from depot.feed import deliver
from depot.models import Parcel
from depot.reports import of_the_old_depot, undelivered
from sqlalchemy import create_engine, make_url, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgsandbox.errors import ForeignDatabase
from tests.integration.factories import ParcelFactory

DSN = "postgresql://depot:secret@127.0.0.1:9/depot"


# --8<-- [start:four]
def test_four_drivers_see_one_parcel(pg, db_session):
    """Each has a connection of its own to the same transaction of the test."""
    ParcelFactory(code="A1")
    url = make_url(pg.url)

    async def by_an_asynchronous(driver):
        engine = create_async_engine(url.set(drivername=f"postgresql+{driver}"))
        async with AsyncSession(engine) as session:
            code = await session.scalar(select(Parcel.code))
        await engine.dispose()
        return code

    def by_a_synchronous(driver):
        engine = create_engine(url.set(drivername=f"postgresql+{driver}"))
        with Session(engine) as session:
            return session.scalar(select(Parcel.code))

    assert [by_a_synchronous("psycopg2"), by_a_synchronous("psycopg")] == ["A1", "A1"]
    assert asyncio.run(by_an_asynchronous("psycopg")) == "A1"
    assert asyncio.run(by_an_asynchronous("asyncpg")) == "A1"


# --8<-- [end:four]


# --8<-- [start:beside]
def test_the_feed_delivers_what_the_counter_took_in(db_session):
    """The feed is asyncpg, the report psycopg, the test's own session psycopg2."""
    ParcelFactory(code="A1")
    ParcelFactory(code="B2")

    asyncio.run(deliver(DSN, ["A1"]))

    assert undelivered() == ["B2"]


# --8<-- [end:beside]


# --8<-- [start:class]
def test_each_driver_raises_its_own_error(db_session):
    """What PostgreSQL refuses reaches the code as in production."""
    ParcelFactory(code="A1")

    async def insert():
        connection = await asyncpg.connect(DSN)
        try:
            await connection.execute("insert into parcels (code) values ('A1')")
        finally:
            await connection.close()

    with pytest.raises(asyncpg.UniqueViolationError):
        asyncio.run(insert())
    with pytest.raises(IntegrityError):
        ParcelFactory(code="A1")


# --8<-- [end:class]


# --8<-- [start:own]
def test_a_report_connects_by_itself(db_session, pg):
    """Its DSN is the development database's; it is sent to the running test."""
    ParcelFactory(code="A1")

    assert undelivered() == ["A1"]
    assert pg.outside("select count(*) from parcels") == 0


# --8<-- [end:own]


# --8<-- [start:commit]
def test_a_connection_that_is_not_committed(db_session):
    """Each is a transaction of its own: this one is rolled back, and the test's rows stay."""
    ParcelFactory(code="A1")
    connection = psycopg2.connect(DSN)
    with connection.cursor() as cursor:
        cursor.execute("insert into parcels (code) values ('B2')")
    connection.close()

    assert undelivered() == ["A1"]


# --8<-- [end:commit]


# --8<-- [start:foreign]
def test_another_database_is_refused(db_session):
    """Before anybody is asked for it."""
    with pytest.raises(ForeignDatabase, match=r"old\.example\.com"):
        of_the_old_depot()


# --8<-- [end:foreign]
