"""Tasks see the same data, one statement at a time; a cancelled one leaves nothing."""

import asyncio

import pytest
from shop.models import Item
from sqlalchemy import func, select, text

COUNT = select(func.count(Item.id))


async def test_tasks_share_the_data_of_their_test(shop, async_db_session):
    """Twenty tasks with sessions of their own write and read what the others committed."""

    async def add(number):
        async with shop.open_session() as session:
            session.add(Item(name=f"{number}"))
            await session.commit()
            return await session.scalar(COUNT)

    async_db_session.add(Item(name="the test's"))
    await async_db_session.commit()
    seen = await asyncio.gather(*(add(number) for number in range(20)))

    assert max(seen) == 21
    assert await async_db_session.scalar(COUNT) == 21


async def test_a_time_limit_ends_a_statement(shop, async_db_session):
    """The task's transaction is undone, the test's own rows stay, and work goes on."""

    async def wait():
        async with shop.open_session() as session:
            session.add(Item(name="in the transaction"))
            await session.flush()
            await session.execute(text("select pg_sleep(60)"))

    async_db_session.add(Item(name="the test's"))
    await async_db_session.flush()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(wait(), 0.1)
    async with shop.open_session() as session:
        session.add(Item(name="afterwards"))
        await session.commit()

    assert sorted(await async_db_session.scalars(select(Item.name))) == ["afterwards", "the test's"]


async def test_a_cancelled_task_that_waits_for_another(shop, async_db_session):
    """Its statement was never sent, and the other's goes on."""
    async_db_session.add(Item(name="the test's"))
    await async_db_session.flush()
    is_first = asyncio.Event()

    async def first():
        async with shop.open_session() as session:
            session.add(Item(name="first"))
            await session.flush()
            is_first.set()
            await session.execute(text("select pg_sleep(0.3)"))
            await session.commit()

    async def second():
        async with shop.open_session() as session:
            session.add(Item(name="second"))
            await session.commit()

    task = asyncio.create_task(first())
    await is_first.wait()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(second(), 0.05)
    await task

    assert sorted(await async_db_session.scalars(select(Item.name))) == ["first", "the test's"]


async def test_the_task_that_is_cancelled_had_written_before(shop, async_db_session):
    """What it wrote is undone before the other one goes on to write."""
    async_db_session.add(Item(name="the test's"))
    await async_db_session.flush()
    has_written = asyncio.Event()

    async def first():
        async with shop.open_session() as session:
            await session.execute(text("select 1"))
            await has_written.wait()
            await session.execute(text("select pg_sleep(0.5)"))
            session.add(Item(name="first"))
            await session.commit()

    async def second():
        async with shop.open_session() as session:
            session.add(Item(name="second"))
            await session.flush()
            has_written.set()
            await asyncio.sleep(0.1)
            await session.commit()

    task = asyncio.create_task(first())
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(second(), 0.2)
    await task

    assert sorted(await async_db_session.scalars(select(Item.name))) == ["first", "the test's"]


async def test_the_loop_goes_on_while_a_statement_runs(shop):
    """A task that waits for the database keeps nobody else from working."""
    is_next = asyncio.Event()

    async def wait():
        async with shop.open_session() as session:
            await session.execute(text("select 1"))
            is_next.set()
            await session.execute(text("select pg_sleep(60)"))

    waiting = asyncio.create_task(wait())
    await is_next.wait()
    for _ in range(20):
        await asyncio.sleep(0.001)

    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
