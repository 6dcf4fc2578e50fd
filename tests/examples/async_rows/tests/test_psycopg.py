"""What applications do with psycopg's own asynchronous connection."""

import psycopg
import pytest
from psycopg.rows import dict_row
from shop.models import Item
from shop.plain import engine
from shop.settings import DRIVER, main_url
from sqlalchemy import create_engine, func, insert, select

pytestmark = pytest.mark.skipif(DRIVER != "psycopg", reason="psycopg's own")
CLONE = r'pgsandbox\(isolation="clone"\)'


@pytest.fixture
async def connection():
    """The driver's connection of one that SQLAlchemy's pool hands out."""
    async with engine.connect() as outer:
        yield (await outer.get_raw_connection()).driver_connection


async def names(connection):
    """The names of all items."""
    cursor = await connection.execute("select name from items order by id")
    return [name for (name,) in await cursor.fetchall()]


async def test_it_is_psycopgs(connection):
    """Rows, cursors and errors are the driver's own."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("select %s::int as number", [7])
        row = await cursor.fetchone()

    assert isinstance(connection, psycopg.AsyncConnection)
    assert isinstance(cursor, psycopg.AsyncCursor)
    assert row == {"number": 7}
    with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
        await connection.execute("select * from nowhere")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        await connection.execute("select 1")
    await connection.rollback()


async def test_transactions_and_savepoints(connection):
    """Blocks commit, roll back and nest."""
    async with connection.transaction():
        await connection.execute("insert into items (name) values ('outer')")
        with pytest.raises(ZeroDivisionError):  # noqa: PT012  # the block is what is tested
            async with connection.transaction():
                await connection.execute("insert into items (name) values ('inner')")
                raise ZeroDivisionError
    await connection.rollback()

    assert await names(connection) == ["outer"]


async def test_copying(connection):
    """Rows go in and out, while other tasks work."""
    async with engine.connect() as other, connection.cursor() as cursor:
        async with cursor.copy("copy items (id, name) from stdin") as copy:
            await copy.write_row((101, "a"))
            assert await other.scalar(select(func.count(Item.id))) == 0
            await copy.write_row((102, "b"))
        assert await other.scalar(select(func.count(Item.id))) == 2
        async with cursor.copy("copy items to stdout") as copy:
            rows = [row async for row in copy.rows()]

    assert rows == [("101", "a"), ("102", "b")]


async def test_server_side_cursors(connection):
    """They scroll and fetch, and end with their transaction."""
    await connection.execute("insert into items (name) select n::text from generate_series(1, 9) n")
    cursor = connection.cursor("mine")
    await cursor.execute("select name from items order by id")
    assert await cursor.fetchone() == ("1",)
    assert len(await cursor.fetchmany(3)) == 3
    assert len([row async for row in cursor]) == 5
    await cursor.close()
    await connection.commit()
    streamed = [row async for row in connection.cursor().stream("select name from items")]

    assert len(streamed) == 9


async def test_synchronous_and_asynchronous_engines_share_the_test(db_session, async_db_session):
    """psycopg is both, on one connection of the server's."""
    async with engine.begin() as connection:
        await connection.execute(insert(Item).values(name="asynchronous"))
    with create_engine(main_url()).begin() as connection:
        connection.execute(insert(Item).values(name="synchronous"))

    assert db_session.scalar(select(func.count(Item.id))) == 2
    assert await async_db_session.scalar(select(func.count(Item.id))) == 2


async def test_what_a_sandbox_cannot_give_names_the_clone(connection):
    """Snapshots of a transaction's own."""
    await connection.set_isolation_level(psycopg.IsolationLevel.SERIALIZABLE)
    with pytest.raises(psycopg.NotSupportedError, match=f"(?s)NotInSandbox.*{CLONE}"):
        await connection.execute("select 1")
    await connection.rollback()


async def test_pipelines(connection):
    """Statements travel together."""
    async with connection.pipeline():
        await connection.execute("insert into items (name) values ('a')")
        counted = await connection.execute("select count(*) from items")

    assert await counted.fetchone() == (1,)


async def test_a_connection_of_the_applications_own(pg, async_db_session):
    """An engine that connects by itself (async_creator) is sandboxed, too."""
    from sqlalchemy.ext.asyncio import create_async_engine

    url = "postgresql:" + pg.url.partition(":")[2]
    own = create_async_engine(
        "postgresql+psycopg://", async_creator=lambda: psycopg.AsyncConnection.connect(url)
    )
    async with own.begin() as connection:
        await connection.execute(insert(Item).values(name="lamp"))

    assert await async_db_session.scalar(select(Item.name)) == "lamp"
    await own.dispose()
