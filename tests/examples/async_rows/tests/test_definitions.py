"""DDL, and constraints that wait for the end of their transaction."""

import pytest
from shop.models import Base, Item, Part
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError

MADE = text("select count(*) from pg_class where relname = 'made_by_test'")


@pytest.fixture(autouse=True)
def nothing_is_committed():
    """Who changes a table locks it to the end, so that outside only the catalog can be asked."""


async def test_tables_made_by_a_test_are_there_for_the_rest_of_it(shop, async_db_session):
    """DDL commits and rolls back as rows do."""
    async with shop.engine.begin() as connection:
        await connection.execute(text("create table made_by_test (id integer)"))
    async with shop.engine.connect() as connection:
        await connection.execute(text("drop table made_by_test"))
        await connection.rollback()

    assert await async_db_session.scalar(MADE) == 1


async def test_drop_all_and_create_all(shop, async_db_session):
    """An application may make its tables anew by run_sync; queries of before still work."""
    async with shop.open_session() as session:
        await session.scalars(select(Item))
    async with shop.engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with shop.open_session() as session:
        session.add(Item(name="lamp"))
        await session.commit()

    assert await async_db_session.scalar(select(func.count(Item.id))) == 1


async def test_truncate_and_alter_are_undone(shop, async_db_session):
    """Whatever a statement locks or changes, the next test finds it as it was."""
    async_db_session.add(Item(name="lamp"))
    await async_db_session.commit()
    async with shop.engine.begin() as connection:
        await connection.execute(text("truncate items cascade"))
        await connection.execute(text("alter table items add column colour text"))
        await connection.execute(text("insert into items (name, colour) values ('red', 'red')"))

    assert await async_db_session.scalar(text("select colour from items")) == "red"


async def test_a_deferred_constraint_is_checked_at_commit(shop, async_db_session):
    """The error comes where production has it, and undoes that transaction only."""
    async_db_session.add(Item(name="the test's"))
    await async_db_session.flush()
    async with shop.open_session() as session:
        session.add(Part(item_id=1_000_000))
        await session.flush()
        with pytest.raises(IntegrityError, match="parts_item"):
            await session.commit()
        await session.rollback()

    assert await async_db_session.scalar(select(func.count(Item.id))) == 1
    assert await async_db_session.scalar(select(func.count(Part.id))) == 0


async def test_a_deferred_constraint_may_be_broken_until_commit(shop, async_db_session):
    """The part is written before its item."""
    async with shop.engine.begin() as connection:
        await connection.execute(insert(Part).values(item_id=1_000_000))
        await connection.execute(insert(Item).values(id=1_000_000, name="lamp"))

    assert await async_db_session.scalar(select(func.count(Part.id))) == 1


async def test_a_deferred_constraint_is_checked_at_an_autocommit_statement(shop):
    """Each statement is a transaction of its own."""
    engine = shop.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError, match="parts_item"):
            await connection.execute(insert(Part).values(item_id=1_000_000))
