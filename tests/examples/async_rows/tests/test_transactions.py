"""Sessions, engines and driver connections: inside of its test, everything is as in production."""

import gc

import pytest
from shop import plain
from shop.models import Item
from shop.settings import main_url
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

COUNT = select(func.count(Item.id))


async def names(session):
    """The names of all items, as *session* sees them."""
    return sorted(await session.scalars(select(Item.name)))


# -- sessions --------------------------------------------------------------------------------------


async def test_commit_is_visible_to_every_later_reader(shop, async_db_session, pg):
    """Another session, another engine and the test itself see a commit; nobody outside does."""
    async with shop.open_session() as session:
        session.add(Item(name="lamp"))
        await session.commit()

    async with shop.open_session() as another:
        assert await names(another) == ["lamp"]
    async with shop.engine.connect() as connection:
        assert await connection.scalar(COUNT) == 1
    async with create_async_engine(pg.url).connect() as connection:
        assert await connection.scalar(COUNT) == 1
    assert await names(async_db_session) == ["lamp"]
    assert pg.outside("select count(*) from items") == 0


async def test_the_application_sees_what_the_test_arranged(shop, async_db_session, db_session):
    """By the test's own asynchronous session and by its synchronous one."""
    async_db_session.add(Item(name="committed"))
    await async_db_session.commit()
    async_db_session.add(Item(name="flushed"))
    await async_db_session.flush()
    db_session.add(Item(name="synchronous"))
    db_session.flush()

    async with shop.open_session() as session:
        assert await names(session) == ["committed", "flushed", "synchronous"]


async def test_rollback_undoes_only_its_own_transaction(shop, async_db_session):
    """Earlier commits and the test's own rows stay."""
    async_db_session.add(Item(name="the test's"))
    await async_db_session.flush()

    async with shop.open_session() as session:
        session.add(Item(name="first"))
        await session.commit()
        session.add(Item(name="second"))
        await session.commit()
        session.add(Item(name="third"))
        await session.flush()
        await session.rollback()

        assert await names(session) == ["first", "second", "the test's"]


async def test_work_goes_on_after_an_integrity_error(shop, async_db_session):
    """The failed transaction is undone; the one before it and the one after it stand."""
    async with shop.open_session() as session:
        session.add(Item(name="lamp"))
        await session.commit()
        session.add_all([Item(name="chair"), Item(name="lamp")])
        with pytest.raises(IntegrityError):
            await session.commit()
        await session.rollback()
        session.add(Item(name="table"))
        await session.commit()

    assert await names(async_db_session) == ["lamp", "table"]


async def test_the_tests_own_rollback_leaves_the_applications_commit(shop, async_db_session):
    """The test's session held flushed rows before, and an error of its own makes it roll back."""
    async_db_session.add(Item(name="the test's"))
    await async_db_session.flush()
    async with shop.open_session() as session:
        session.add(Item(name="lamp"))
        await session.commit()

    async_db_session.add(Item(name="lamp"))
    with pytest.raises(IntegrityError):
        await async_db_session.flush()
    await async_db_session.rollback()

    assert "lamp" in await names(async_db_session)


async def test_a_forgotten_commit_is_seen(shop, async_db_session):
    """What a session did not commit is undone when it closes, as in production."""
    async with shop.open_session() as session:
        session.add(Item(name="committed"))
        await session.commit()
        session.add(Item(name="forgotten"))
        await session.flush()

    assert await names(async_db_session) == ["committed"]


async def test_a_session_left_open_at_the_end_of_its_test_leaves_nothing(shop):
    """The fixture of this project looks at the tables before and after each test."""
    session = await shop.open_session().__aenter__()  # on purpose without an end
    session.add(Item(name="open"))
    await session.flush()

    assert await names(session) == ["open"]


async def test_a_leaked_session_is_collected_late(shop):
    """Of the session above, too, no warning and no row is left."""
    gc.collect()

    async with shop.open_session() as session:
        assert await names(session) == []


# -- engines and Core ------------------------------------------------------------------------------


async def test_engine_begin_commits_at_the_end_of_its_block(shop, async_db_session):
    """The rows of the block stand, and those of a block that raises do not."""
    async with shop.engine.begin() as connection:
        await connection.execute(insert(Item).values(name="stands"))
    with pytest.raises(IntegrityError):
        async with shop.engine.begin() as connection:
            await connection.execute(insert(Item), [{"name": "falls"}, {"name": "stands"}])

    assert await names(async_db_session) == ["stands"]


async def test_connect_and_commit_as_you_go(shop, async_db_session):
    """A connection commits, rolls back, and loses at its close what it did since."""
    async with shop.engine.connect() as connection:
        await connection.execute(insert(Item).values(name="committed"))
        await connection.commit()
        await connection.execute(insert(Item).values(name="rolled back"))
        await connection.rollback()
        await connection.execute(insert(Item).values(name="forgotten"))

    assert await names(async_db_session) == ["committed"]


async def test_a_second_engine_is_in_the_same_transaction(shop, pg, async_db_session):
    """Engines made while the test runs, by either URL, see the same rows and write to the same."""
    async with shop.engine.begin() as connection:
        await connection.execute(insert(Item).values(name="first engine"))
    second, third = create_async_engine(pg.url), create_async_engine(main_url())
    async with second.begin() as connection:
        assert await connection.scalar(COUNT) == 1
        await connection.execute(insert(Item).values(name="second engine"))
    async with third.begin() as connection:
        assert await connection.scalar(COUNT) == 2
        await connection.execute(insert(Item).values(name="third engine"))
    await second.dispose()
    await third.dispose()

    assert len(await names(async_db_session)) == 3


async def test_dispose_keeps_what_was_committed(shop, async_db_session):
    """An engine goes on after its pool was thrown away, even while a connection is out."""
    async with shop.engine.connect() as connection:
        await connection.execute(insert(Item).values(name="before"))
        await shop.engine.dispose()
        await connection.commit()
    async with shop.engine.begin() as connection:
        await connection.execute(insert(Item).values(name="after"))

    assert await names(async_db_session) == ["after", "before"]


async def test_autocommit_lets_each_statement_stand(shop, async_db_session):
    """Each statement stands by itself; a failing one undoes neither others nor the test."""
    async_db_session.add(Item(name="the test's"))
    await async_db_session.flush()
    engine = shop.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(insert(Item).values(name="first"))
        with pytest.raises(IntegrityError):
            await connection.execute(insert(Item).values(name="first"))
        await connection.execute(insert(Item).values(name="second"))
        await connection.rollback()

    assert await names(async_db_session) == ["first", "second", "the test's"]


async def test_autocommit_of_an_engine_and_of_one_connection(pg, async_db_session):
    """The level may be the engine's own, or set on a connection that goes back to its pool."""
    engine = create_async_engine(pg.url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(insert(Item).values(name="engine"))
    engine = create_async_engine(pg.url)
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(insert(Item).values(name="connection"))
    async with engine.connect() as connection:
        await connection.execute(insert(Item).values(name="the pool's next"))

    assert await names(async_db_session) == ["connection", "engine"]


async def test_autocommit_beside_an_open_transaction(shop, async_db_session):
    """An AUTOCOMMIT statement stands although a transaction around it is rolled back before it."""
    autocommit = shop.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with shop.open_session() as session, autocommit.connect() as connection:
        assert await names(session) == []
        await connection.execute(insert(Item).values(name="stands"))
        await session.rollback()

    assert await names(async_db_session) == ["stands"]


async def test_a_session_runs_synchronous_code(async_db_session):
    """run_sync gives it a synchronous session on the same transaction."""
    async with plain.open_session() as session:
        await session.run_sync(lambda own: own.add(Item(name="lamp")))
        await session.run_sync(lambda own: own.commit())

    assert await names(async_db_session) == ["lamp"]


async def test_a_stream_reads_row_by_row(shop, async_db_session):
    """A server-side cursor gets what the test arranged, and other sessions work meanwhile."""
    async_db_session.add_all([Item(name=f"{number:02}") for number in range(40)])
    await async_db_session.flush()

    async with shop.open_session() as session, shop.engine.begin() as connection:
        rows = await session.stream(select(Item).execution_options(yield_per=7))
        first = await anext(rows.scalars())
        await connection.execute(insert(Item).values(name="meanwhile"))
        rest = [item.name async for item in rows.scalars()]

    assert first.name == "00"
    assert rest[-1] == "39"


# -- savepoints ------------------------------------------------------------------------------------


async def test_nested_transactions_stand_and_fall_by_level(shop, async_db_session):
    """Each level is undone by itself, and a level's rollback takes the levels inside with it."""
    async with shop.open_session() as session:
        session.add(Item(name="0"))
        async with session.begin_nested():
            session.add(Item(name="1"))
            second = await session.begin_nested()
            session.add(Item(name="2"))
            async with session.begin_nested():
                session.add(Item(name="3"))
            session.add(Item(name="0"))
            with pytest.raises(IntegrityError):
                await session.flush()
            await second.rollback()
            async with session.begin_nested():
                session.add(Item(name="5"))
        await session.commit()

    assert await names(async_db_session) == ["0", "1", "5"]


async def test_a_rollback_takes_released_savepoints_with_it(shop, async_db_session):
    """What a savepoint kept is still its transaction's."""
    async with shop.open_session() as session:
        async with session.begin_nested():
            session.add(Item(name="kept by the savepoint"))
        await session.rollback()

    assert await names(async_db_session) == []


async def test_savepoints_of_two_connections_have_the_same_names(shop, pg, async_db_session):
    """Names of savepoints belong to their connection, so both may use the same."""
    other_engine = create_async_engine(pg.url)
    async with shop.engine.connect() as one, other_engine.connect() as other:
        await one.execute(text("savepoint here"))
        await one.execute(insert(Item).values(name="one"))
        await one.commit()
        await other.execute(text("savepoint here"))
        await other.execute(insert(Item).values(name="other"))
        await other.execute(text("rollback to savepoint here"))
        with pytest.raises(DBAPIError, match="there"):
            await other.execute(text("release savepoint there"))
        await other.rollback()

    assert await names(async_db_session) == ["one"]
