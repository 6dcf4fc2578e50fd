"""What makes a test fail whatever its own assertions say. Run in order; what follows is clean."""

import asyncio
import contextlib

import pytest
from psycopg2.extensions import connection as Connection
from shop.models import Item, Part
from sqlalchemy import func, insert, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine

COUNT = select(func.count(Item.id))
CUT = """select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and state = 'idle in transaction'"""


@pytest.fixture
def engine(pg):
    """The application's engine."""
    return create_async_engine(pg.url)


@pytest.fixture
def execute(pg):
    """A function that connects to the server itself, where nothing stands in its way."""
    url = pg.server.url_of(make_url(pg.url).database, "postgresql")
    dsn = url.render_as_string(hide_password=False)

    def execute(statement):
        connection = Connection(dsn)
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.close()

    return execute


# -- interleaving ----------------------------------------------------------------------------------


async def test_interleaved(engine):
    """The first transaction is rolled back after the second one wrote and committed."""
    async with engine.connect() as one, engine.connect() as two:
        await one.execute(insert(Item).values(name="one"))
        await two.execute(insert(Item).values(name="two"))
        await two.commit()
        await one.rollback()


async def test_interleaved_by_a_reader(engine):
    """The first transaction is rolled back below the second one's, and somebody looks."""
    async with engine.connect() as one, engine.connect() as two, engine.connect() as reader:
        await one.execute(insert(Item).values(name="one"))
        await two.execute(insert(Item).values(name="two"))
        await one.rollback()
        await reader.execute(COUNT)


async def test_interleaved_and_swallowed(engine):
    """The application catches the error, and the test passes its own assertions."""
    async with engine.connect() as one, engine.connect() as two:
        await one.execute(insert(Item).values(name="one"))
        await two.execute(insert(Item).values(name="two"))
        await two.commit()
        with contextlib.suppress(Exception):
            await one.rollback()


async def test_interleaved_by_an_error(engine):
    """The first transaction fails at its commit after the second one wrote."""
    async with engine.connect() as one, engine.connect() as two:
        await one.execute(insert(Part).values(item_id=1_000_000))
        await two.execute(insert(Item).values(name="two"))
        await two.commit()
        await one.commit()


async def test_interleaved_by_cancelling(engine):
    """A time limit rolls the first transaction back after the second one wrote."""
    has_written = asyncio.Event()

    async def first():
        async with engine.connect() as one:
            await one.execute(insert(Item).values(name="one"))
            async with engine.begin() as two:
                await two.execute(insert(Item).values(name="two"))
            has_written.set()
            await one.execute(text("select pg_sleep(60)"))

    task = asyncio.create_task(first())
    await has_written.wait()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(task, 0.1)


# -- the outer transaction -------------------------------------------------------------------------


async def test_a_commit_that_hides(engine):
    """It follows a function whose argument is named begin, as the body of one begins."""
    async with engine.connect() as outer:
        connection = (await outer.get_raw_connection()).driver_connection
        await connection.execute("insert into items (name) values ('one')")
        with contextlib.suppress(Exception):
            await connection.execute(
                "create function f(begin int) returns int language sql as 'select 1'; commit"
            )


# -- constraints -----------------------------------------------------------------------------------


async def test_deferred(async_db_session):
    """Rows of the test's own session break a deferred constraint, and nobody commits them."""
    async_db_session.add(Part(item_id=1_000_000))
    await async_db_session.flush()


# -- what leaves the transaction -------------------------------------------------------------------


async def test_escaped(async_db_session, execute):
    """A connection past the endpoint commits a row."""
    execute("insert into items (name) values ('escaped')")
    await async_db_session.scalar(COUNT)


async def test_advisory_lock(db_session):
    """A lock of the session survives the rollback, where a pool keeps its connection."""
    db_session.execute(text("select pg_advisory_lock(4711)"))


async def test_cut(engine):
    """The connection that holds the test is cut."""
    async with engine.connect() as connection:
        await connection.execute(insert(Item).values(name="lamp"))
        await connection.commit()
        with contextlib.suppress(Exception):
            await connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))


async def test_cut_between_statements(engine, execute):
    """Somebody else cuts it while nothing runs, and the test passes its own assertions."""
    async with engine.connect() as connection:
        await connection.execute(insert(Item).values(name="lamp"))
        execute(CUT)


async def test_the_last_one_is_clean(async_db_session):
    """After all of them."""
    assert await async_db_session.scalar(COUNT) == 0
