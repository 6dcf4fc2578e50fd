"""What applications do with asyncpg's own connection, which SQLAlchemy hands out."""

import asyncio
import io

import asyncpg
import pytest
from shop.plain import engine, open_session
from shop.settings import DRIVER
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

pytestmark = pytest.mark.skipif(DRIVER != "asyncpg", reason="asyncpg's own")
CLONE = r'pgsandbox\(isolation="clone"\)'


@pytest.fixture
async def connection():
    """The driver's connection of one that SQLAlchemy's pool hands out."""
    async with engine.connect() as outer:
        yield (await outer.get_raw_connection()).driver_connection


async def names(connection):
    """The names of all items."""
    return [row["name"] for row in await connection.fetch("select name from items order by id")]


async def test_it_is_asyncpgs(connection):
    """Records, types and errors are the driver's own."""
    row = await connection.fetchrow(
        "select $1::int as number, array[1, 2] as both, '1 day'::interval", 7
    )

    assert isinstance(connection, asyncpg.Connection)
    assert isinstance(row, asyncpg.Record)
    assert (row["number"], row["both"]) == (7, [1, 2])
    with pytest.raises(asyncpg.UndefinedTableError, match="nowhere"):
        await connection.execute("select * from nowhere")
    with pytest.raises(asyncpg.DataError):
        await connection.fetch("select $1::int", "seven")


async def test_each_statement_stands_by_itself(connection, async_db_session):
    """Without a transaction asyncpg commits each statement, also after one that failed."""
    assert await connection.execute("insert into items (name) values ($1)", "first") == "INSERT 0 1"
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("insert into items (name) values ('first')")
    await connection.executemany("insert into items (name) values ($1)", [("second",), ("third",)])

    assert await names(connection) == ["first", "second", "third"]
    assert await connection.fetchval("select count(*) from items") == 3
    assert len((await async_db_session.execute(text("select 1 from items"))).all()) == 3


async def test_executemany_is_all_or_nothing(connection):
    """As asyncpg documents it."""
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.executemany("insert into items (name) values ($1)", [("a",), ("a",)])

    assert await names(connection) == []


async def test_transactions_and_savepoints(connection):
    """Blocks commit, roll back, nest, and tell whether one is open."""
    async with connection.transaction():
        assert connection.is_in_transaction()
        await connection.execute("insert into items (name) values ('outer')")
        with pytest.raises(ZeroDivisionError):  # noqa: PT012  # the block is what is tested
            async with connection.transaction():
                await connection.execute("insert into items (name) values ('inner')")
                raise ZeroDivisionError
        async with connection.transaction():
            await connection.execute("insert into items (name) values ('kept')")
    assert not connection.is_in_transaction()
    transaction = connection.transaction(readonly=True)
    await transaction.start()
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("insert into items (name) values ('refused')")
    await transaction.rollback()

    assert await names(connection) == ["outer", "kept"]


async def test_a_failed_transaction_takes_nothing_but_a_rollback(connection):
    """The server's own error meets what follows."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("insert into items (name) values ('lost')")
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.execute("select * from nowhere")
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await connection.fetch("select 1")
    await transaction.rollback()

    assert await names(connection) == []


async def test_transactions_by_sql(connection):
    """BEGIN and COMMIT are statements like any other where the driver has begun nothing."""
    await connection.execute("begin")
    await connection.execute("insert into items (name) values ('stands')")
    await connection.execute("commit")
    await connection.execute("begin")
    await connection.execute("insert into items (name) values ('falls')")
    await connection.execute("rollback")

    assert await names(connection) == ["stands"]


async def test_prepared_statements(connection):
    """They know their columns and parameters, and the name that was asked for."""
    statement = await connection.prepare("select * from items where name = $1")
    await connection.execute("insert into items (name) values ('lamp')")

    assert statement.get_query() == "select * from items where name = $1"
    assert [each.name for each in statement.get_attributes()] == ["id", "name"]
    assert [each.name for each in statement.get_parameters()] == ["text"]
    again = await connection.prepare("select name from items where name = $1", name="mine")
    assert again.get_name() == "mine"
    assert [row["name"] for row in await again.fetch("lamp")] == ["lamp"]
    assert again.get_statusmsg() == "SELECT 1"


async def test_cursors(connection):
    """They need a transaction, and end with it."""
    async with connection.transaction():
        await connection.execute(
            "insert into items (name) select n::text from generate_series(1, 9) n"
        )
        cursor = await connection.cursor("select id, name from items order by id")
        assert [row["name"] for row in await cursor.fetch(2)] == ["1", "2"]
        assert await cursor.forward(2) == 2
        assert (await cursor.fetchrow())["name"] == "5"
        rows = [
            row["name"] async for row in connection.cursor("select name from items", prefetch=2)
        ]
        assert len(rows) == 9
    with pytest.raises(asyncpg.PostgresError):
        await cursor.fetch(1)
    with pytest.raises(asyncpg.NoActiveSQLTransactionError):
        await connection.cursor("select 1")


async def test_copying(connection):
    """Records, files and streams, in and out, also by coroutines of the test's own loop."""
    await connection.copy_records_to_table("items", records=[(101, "a"), (102, "b")])
    await connection.copy_to_table("items", source=io.BytesIO(b"103\tc\n"), columns=["id", "name"])

    async def lines():
        await asyncio.sleep(0)
        yield b"104\td\n"

    await connection.copy_to_table("items", source=lines())
    written = io.BytesIO()
    await connection.copy_from_table("items", output=written)
    received = []

    async def receive(data):
        await asyncio.sleep(0)
        received.append(data)

    await connection.copy_from_query("select name from items where id > $1", 102, output=receive)

    assert await names(connection) == ["a", "b", "c", "d"]
    assert written.getvalue().count(b"\n") == 4
    assert b"".join(received) == b"c\nd\n"


async def test_codecs_belong_to_one_connection(connection):
    """What one connection converts in its own way, the others don't."""
    await connection.set_type_codec(
        "int4", schema="pg_catalog", encoder=str, decoder=lambda value: f"<{value}>", format="text"
    )
    async with engine.connect() as outer:
        other = (await outer.get_raw_connection()).driver_connection

        assert await connection.fetchval("select 7") == "<7>"
        assert await other.fetchval("select 7") == 7
        await connection.reset_type_codec("int4", schema="pg_catalog")
        assert await connection.fetchval("select 7") == 7


async def test_notices_reach_their_connection(connection):
    """A log listener hears what its own statements cause."""
    heard = []
    connection.add_log_listener(lambda _, message: heard.append(message.message))
    await connection.execute("do $$ begin raise notice 'hello'; end $$")

    assert heard == ["hello"]


async def test_a_timeout_of_asyncpgs_own(connection):
    """It cancels the statement, and the connection goes on."""
    with pytest.raises(asyncio.TimeoutError):
        await connection.execute("select pg_sleep(60)", timeout=0.1)

    assert await connection.fetchval("select 7") == 7


async def test_what_a_sandbox_cannot_give_names_the_clone(connection):
    """Snapshots of a transaction's own, statements outside of transactions."""
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="NotInSandbox") as refused:
        async with connection.transaction(isolation="serializable"):
            await connection.fetchval("select 1")
    assert "clone" in refused.value.hint
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="NotInSandbox"):
        await connection.execute("vacuum items")


async def test_notifications_come_at_the_commit(connection):
    """One connection listens, another's commit tells it; a rollback tells nothing."""
    heard = asyncio.Queue()
    await connection.add_listener("news", lambda *told: heard.put_nowait(told[2:]))
    async with engine.connect() as other:
        await other.execute(text("notify news, 'undone'"))
        await other.rollback()
        await other.execute(text("notify news, 'lamp'"))
        await other.commit()

    assert await asyncio.wait_for(heard.get(), 5) == ("news", "lamp")


async def test_settings_of_a_connection(pg):
    """server_settings hold for the connections of their engine, and for no others."""
    settings = {"search_path": "pg_catalog, public", "application_name": "shop"}
    own = create_async_engine(pg.url, connect_args={"server_settings": settings})
    async with own.connect() as one, engine.connect() as other:
        assert await one.scalar(text("show search_path")) == "pg_catalog, public"
        assert await other.scalar(text("show search_path")) != "pg_catalog, public"


async def test_a_connection_of_the_applications_own(pg, async_db_session):
    """An engine that connects by itself (async_creator) is sandboxed, too."""
    url = "postgresql:" + pg.url.partition(":")[2]
    own = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    async with own.begin() as connection:
        await connection.execute(text("insert into items (name) values ('lamp')"))

    assert await async_db_session.scalar(text("select name from items")) == "lamp"
    await own.dispose()


async def test_queries_of_the_same_text_in_many_sessions():
    """SQLAlchemy keeps prepared statements by connection, whose plans outlive no definition."""
    for column in ("one", "two"):
        async with open_session() as session:
            await session.execute(text(f"create table made_by_test ({column} int)"))
            rows = await session.execute(text("select * from made_by_test"))
            assert list(rows.keys()) == [column]
            await session.rollback()


async def test_a_url_sets_parameters(pg):
    """What a URL asks of the server is there, unless an argument asks for something else."""
    connection = await asyncpg.connect(
        f"{pg.tcp_url}?application_name=shop&work_mem=3MB", server_settings={"work_mem": "5MB"}
    )

    assert await connection.fetchval("show application_name") == "shop"
    assert await connection.fetchval("show work_mem") == "5MB"
    await connection.close()
