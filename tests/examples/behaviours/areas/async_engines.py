"""SQLAlchemy's asynchronous engines and sessions."""

import asyncio

from behaviour import on
from models import Item
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from stage import ASYNC

_NAMES = select(Item.name).order_by(Item.name)


async def _names(stage, engine):
    async with engine.connect() as connection:
        stage.say("names", (await connection.scalars(_NAMES)).all())


@on(*ASYNC)
async def commit_and_rollback(stage, driver):
    """begin(), connect() with commit, a block left by an error."""
    engine = stage.async_engine(driver)
    async with engine.begin() as connection:
        await connection.execute(insert(Item).values(name="a"))
    with stage.noting("block"):
        async with engine.begin() as connection:
            await connection.execute(insert(Item).values(name="b"))
            raise ValueError("of the application")
    async with engine.connect() as connection:
        await connection.execute(insert(Item).values(name="c"))
        await connection.commit()
        await connection.execute(insert(Item).values(name="d"))
    await _names(stage, engine)


@on(*ASYNC)
async def autocommit(stage, driver):
    """Of an engine, of a connection."""
    engine = stage.async_engine(driver, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(insert(Item).values(name="a"))
        with stage.noting("duplicate"):
            await connection.execute(insert(Item).values(name="a"))
        await connection.execute(insert(Item), [{"name": "b"}, {"name": "c"}])
    other = stage.async_engine(driver)
    async with other.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(insert(Item).values(name="d"))
    async with other.connect() as connection:
        await connection.execute(insert(Item).values(name="undone"))
    await _names(stage, other)


@on(*ASYNC)
async def nested(stage, driver):
    """begin_nested of connections and sessions."""
    engine = stage.async_engine(driver)
    async with AsyncSession(engine) as session:
        session.add(Item(name="a"))
        await session.flush()
        with stage.noting("duplicate"):
            async with session.begin_nested():
                session.add(Item(name="a"))
                await session.flush()
        async with session.begin_nested():
            session.add(Item(name="b"))
        await session.commit()
    await _names(stage, engine)


@on(*ASYNC)
async def streamed_in_turns(stage, driver):
    """Two connections stream; one of them also executes."""
    engine = stage.async_engine(driver)
    async with engine.connect() as one, engine.connect() as two:
        first = await one.stream(text("SELECT generate_series(1, 6) + :a"), {"a": 0})
        second = await two.stream(
            text("SELECT generate_series(11, 16), CAST(:b AS text)"), {"b": "x"}
        )
        for _ in range(3):
            stage.say("first", await first.fetchmany(2))
            stage.say("second", await second.fetchmany(1))
            async with engine.begin() as three:
                await three.execute(
                    text("SELECT CAST(:a AS int), CAST(:b AS int)"), {"a": 1, "b": 2}
                )
        await first.close()
        await second.close()


@on(*ASYNC)
async def tasks_with_sessions_of_their_own(stage, driver):
    """Eight at once."""
    engine = stage.async_engine(driver, pool_size=8)

    async def work(number):
        async with AsyncSession(engine) as session:
            session.add(Item(name=str(number)))
            await session.commit()
            return await session.scalar(select(Item.name).where(Item.name == str(number)))

    stage.say("found", await asyncio.gather(*(work(number) for number in range(8))))
    async with AsyncSession(engine) as session:
        stage.say("count", await session.scalar(select(func.count(Item.id))))


@on(*ASYNC)
async def pre_ping_and_listeners(stage, driver):
    """The synchronous listeners of an asynchronous engine."""
    engine = stage.async_engine(driver, pool_pre_ping=True, pool_size=1)
    calls = []
    for name in ("do_connect", "connect", "checkout", "checkin", "begin", "commit", "rollback"):
        event.listen(engine.sync_engine, name, lambda *_, name=name: calls.append(name))
    for _ in range(2):
        async with engine.begin() as connection:
            stage.say("one", await connection.scalar(text("SELECT 1")))
    stage.say("calls", calls)


@on(("asyncpg", "psycopg2"), ("psycopg", "psycopg2"), ("asyncpg", "psycopg"))
async def beside_a_synchronous_engine(stage, driver, other):
    """Both kinds in one test."""
    engine, plain = stage.async_engine(driver), stage.engine(other)
    with Session(plain) as session:
        session.add(Item(name="sync"))
        session.commit()
    async with AsyncSession(engine) as session:
        stage.say("names", (await session.scalars(_NAMES)).all())
        session.add(Item(name="async"))
        await session.commit()
    with Session(plain) as session:
        stage.say("names", session.scalars(_NAMES).all())


@on("asyncpg")
async def prepared_statements_of_the_dialect(stage, driver):
    """prepared_statement_cache_size and names of the application's own."""
    engine = stage.async_engine(
        driver, connect_args={"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    )
    async with engine.connect() as one, engine.connect() as two:
        for number in range(3):
            stage.say("one", await one.scalar(text("SELECT CAST(:a AS int)"), {"a": number}))
            stage.say(
                "two",
                (
                    await two.execute(
                        text("SELECT CAST(:a AS text), CAST(:b AS int)"), {"a": "x", "b": number}
                    )
                ).all(),
            )


@on(*ASYNC)
async def raw_connections(stage, driver):
    """The driver's own connection below the adapter."""
    engine = stage.async_engine(driver)
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        stage.say("kind", type(raw.driver_connection).__name__)
        if driver == "asyncpg":
            stage.say("fetched", await raw.driver_connection.fetch("SELECT $1::int", 7))
            stage.say(
                "copied",
                await raw.driver_connection.copy_records_to_table("items", records=[(1, "a", 0)]),
            )
        else:
            cursor = await raw.driver_connection.execute("SELECT %s::int", (7,))
            stage.say("fetched", await cursor.fetchall())
        await connection.rollback()
    await _names(stage, engine)


@on(*ASYNC)
async def an_engine_without_a_pool(stage, driver):
    """Each connection is new."""
    engine = stage.async_engine(driver, poolclass=NullPool)
    for name in "abc":
        async with engine.begin() as connection:
            await connection.execute(insert(Item).values(name=name))
            await connection.execute(text("CREATE TEMP TABLE scratch (a int)"))
    await _names(stage, engine)


@on(*ASYNC)
async def cancelled_in_a_statement(stage, driver):
    """A cancelled task gives its connection back, and what it wrote is undone."""
    engine = stage.async_engine(driver, pool_size=1, max_overflow=0)
    begun = asyncio.Event()

    async def work():
        async with engine.begin() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            listen = raw.add_log_listener if driver == "asyncpg" else raw.add_notice_handler
            listen(lambda *_: begun.set())
            await connection.execute(insert(Item).values(name="undone"))
            await connection.execute(
                text("DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM pg_sleep(9); END $$")
            )

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with stage.noting("task", asyncio.CancelledError):
        await task
    await _names(stage, engine)


@on(*ASYNC)
async def errors(stage, driver):
    """Class and SQLSTATE through two layers."""
    engine = stage.async_engine(driver)
    async with engine.connect() as connection:
        for sql in (
            "SELECT 1/0",
            "SELECT * FROM nowhere",
            "INSERT INTO items (name) VALUES (NULL)",
            "SELEC 1",
        ):
            with stage.noting(sql):
                await connection.execute(text(sql))
            await connection.rollback()


@on(*ASYNC)
async def insertmanyvalues(stage, driver):
    """Many rows by the unit of work."""
    engine = stage.async_engine(driver, insertmanyvalues_page_size=40)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        items = [Item(name=f"{number:04}") for number in range(130)]
        session.add_all(items)
        await session.commit()
        stage.say("ordered", [item.id for item in items] == sorted(item.id for item in items))
        items[0].amount = 3
        await session.flush()
        await session.refresh(items[0])
        stage.say("amount", items[0].amount)
        await session.rollback()
        stage.say("count", await session.scalar(select(func.sum(Item.amount))))
