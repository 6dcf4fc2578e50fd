"""Pools of the drivers, and what they do to a connection before they give it away again."""

import asyncio

import asyncpg
import psycopg2.pool
from behaviour import on

_INSERT = "INSERT INTO items (name) VALUES ('{}')"


def of_psycopg2(stage):
    """putconn rolls back what is open."""
    pool = psycopg2.pool.SimpleConnectionPool(1, 3, stage.dsn())
    one = pool.getconn()
    stage.run(one, _INSERT.format("undone"))
    pool.putconn(one)
    two = pool.getconn()
    stage.say("the same", two is one)
    stage.run(two, "SELECT name FROM items")
    stage.run(two, "SELECT 1/0")
    pool.putconn(two)
    three = pool.getconn()
    stage.run(three, "SELECT 1")
    pool.putconn(three, close=True)
    stage.say("closed", three.closed)
    pool.closeall()


def of_psycopg2_is_exhausted(stage):
    """Four are one too many."""
    pool = psycopg2.pool.ThreadedConnectionPool(1, 3, stage.dsn())
    held = [pool.getconn(key) for key in "abc"]
    with stage.noting("the fourth"):
        pool.getconn("d")
    stage.say("by its key", pool.getconn("a") is held[0])
    for number, connection in enumerate(held):
        stage.run(connection, f"SET work_mem = '{number + 5}MB'")
        connection.commit()
    for key, connection in zip("abc", held, strict=True):
        pool.putconn(connection, key)
    stage.run(pool.getconn("e"), "SHOW work_mem")
    pool.closeall()


async def of_asyncpg(stage):
    """reset() on release: settings, listeners, locks and transactions are gone."""
    async with asyncpg.create_pool(stage.dsn(), min_size=1, max_size=1) as pool:
        async with pool.acquire() as one:
            await one.execute("SET work_mem = '9MB'")
            await one.execute("CREATE TEMP TABLE scratch (a int)")
            await one.fetch("SELECT pg_advisory_lock(7)")
            await one.execute("LISTEN channel")
            await one.execute("BEGIN")
            await one.execute(_INSERT.format("undone"))
        async with pool.acquire() as two:
            for sql in (
                "SHOW work_mem",
                "SELECT * FROM scratch",
                "SELECT pg_advisory_unlock(7)",
                "SELECT * FROM pg_listening_channels()",
                "SELECT name FROM items",
            ):
                with stage.noting(sql):
                    stage.say("rows", await two.fetch(sql))


async def of_asyncpg_with_callbacks(stage):
    """init once, setup and reset each time."""
    calls = []

    async def init(connection):
        calls.append("init")
        await connection.set_type_codec("json", encoder=str, decoder=str.upper, schema="pg_catalog")

    async def setup(connection):
        calls.append("setup")
        await connection.execute("SET my.word = 'set up'")

    async with asyncpg.create_pool(
        stage.dsn(), min_size=1, max_size=1, init=init, setup=setup
    ) as pool:
        for _ in range(2):
            stage.say(
                "fetched", await pool.fetchrow("SELECT '\"x\"'::json, current_setting('my.word')")
            )
    stage.say("calls", calls)


async def of_asyncpg_at_once(stage):
    """Twenty tasks on five connections."""
    async with asyncpg.create_pool(stage.dsn(), min_size=2, max_size=5) as pool:

        async def work(number):
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("INSERT INTO items (name) VALUES ($1)", str(number))
                return await connection.fetchval("SELECT $1::int", number)

        stage.say("found", await asyncio.gather(*(work(number) for number in range(20))))
        stage.say("count", await pool.fetchval("SELECT count(*) FROM items"))
        stage.say("executed", await pool.execute("DELETE FROM items"))
        await pool.executemany("INSERT INTO items (name) VALUES ($1)", [("a",), ("b",)])
        stage.say("copied", await pool.copy_records_to_table("items", records=[(900, "c", 1)]))
        stage.say("count", await pool.fetchval("SELECT count(*) FROM items"))


async def of_asyncpg_expired(stage):
    """expire_connections replaces them all."""
    pool = await asyncpg.create_pool(stage.dsn(), min_size=1, max_size=2)
    await pool.execute("SET work_mem = '9MB'")
    await pool.expire_connections()
    stage.say("work_mem", await pool.fetchval("SHOW work_mem"))
    held = await pool.acquire()
    with stage.noting("timeout"):
        async with asyncio.timeout(5):
            other = await pool.acquire()
            with stage.noting("third"):
                await pool.acquire(timeout=0.05)
            await pool.release(other)
    await pool.release(held)
    await pool.close()
    with stage.noting("closed"):
        await pool.fetchval("SELECT 1")


async def of_asyncpg_with_an_error(stage):
    """A block that ends in an error gives the connection back clean."""
    async with asyncpg.create_pool(stage.dsn(), min_size=1, max_size=1) as pool:
        with stage.noting("block"):
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(_INSERT.format("undone"))
                await connection.execute("SELECT 1/0")
        stage.say("names", await pool.fetch("SELECT name FROM items"))
        with stage.noting("released twice"):
            connection = await pool.acquire()
            await pool.release(connection)
            await connection.execute("SELECT 1")


@on("psycopg2", "psycopg")
def of_sqlalchemy_over_a_creator(stage, driver):
    """An engine whose connections the application makes by itself."""
    from sqlalchemy import text

    engine = stage.engine(driver, creator=lambda: stage.open(driver, keep=False), pool_size=1)
    with engine.begin() as connection:
        connection.execute(text(_INSERT.format("a")))
    with engine.connect() as connection:
        stage.say("names", connection.execute(text("SELECT name FROM items")).all())
