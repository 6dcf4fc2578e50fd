"""Event loops: as many as there are, in whatever order they come and go."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from anyio.from_thread import start_blocking_portal
from shop.models import Item
from shop.plain import open_session
from sqlalchemy import func, select

COUNT = select(func.count(Item.id))


async def add(name):
    """Add an item, and return how many there are."""
    async with open_session() as session:
        session.add(Item(name=name))
        await session.commit()
        return await session.scalar(COUNT)


def test_three_loops_in_one_test(db_session):
    """One after the other, on one engine, whose pool keeps what an earlier loop opened."""
    assert [asyncio.run(add(name)) for name in "abc"] == [1, 2, 3]
    assert db_session.scalar(COUNT) == 3


async def test_two_loops_at_once(async_db_session):
    """The test's own, and one in a thread, as a synchronous test client has."""
    async_db_session.add(Item(name="the test's"))
    await async_db_session.flush()
    with start_blocking_portal() as portal:
        assert portal.call(add, "lamp") == 2

    assert await add("chair") == 3


def test_loops_in_many_threads(db_session):
    """Eight threads, each with a loop of its own."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: asyncio.run(add(name)), "abcdefgh"))

    assert db_session.scalar(COUNT) == 8


@pytest.mark.parametrize("turn", [1, 2, 3])
async def test_a_pool_that_runs_out_in_every_loop(turn, async_db_session):
    """Tasks queue for a connection of the import-time engine; the next loop may do so, too."""
    await asyncio.gather(*(add(f"{number}") for number in range(30)))

    assert await async_db_session.scalar(COUNT) == 30


@pytest.mark.asyncio(loop_scope="class")
class TestClassLoop:
    """A loop for all tests of a class."""

    @pytest.mark.parametrize("turn", [1, 2])
    async def test_a_turn(self, async_db_session, turn):
        """Each test starts from nothing."""
        assert await add("lamp") == 1
        assert await async_db_session.scalar(COUNT) == 1


@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.asyncio(loop_scope="module")
async def test_the_modules_loop(async_db_session, turn):
    """A loop for all tests of a module."""
    assert await add("lamp") == 1
    assert await async_db_session.scalar(COUNT) == 1


@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.asyncio(loop_scope="session")
async def test_the_sessions_loop(async_db_session, turn):
    """A loop for the whole run."""
    assert await add("lamp") == 1
    assert await async_db_session.scalar(COUNT) == 1


@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.asyncio(loop_scope="package")
async def test_the_packages_loop(async_db_session, turn):
    """A loop for all tests of a package."""
    assert await add("lamp") == 1
    assert await async_db_session.scalar(COUNT) == 1


LEFT = {}


@pytest.mark.asyncio(loop_scope="module")
async def test_1_a_task_outlives_its_test():
    """It is in the middle of a transaction, on a loop that goes on."""
    has_written = asyncio.Event()
    LEFT["may go on"] = asyncio.Event()

    async def work():
        async with open_session() as session:
            session.add(Item(name="before"))
            await session.flush()
            has_written.set()
            await LEFT["may go on"].wait()
            await session.commit()

    LEFT["task"] = asyncio.create_task(work())
    await has_written.wait()


@pytest.mark.asyncio(loop_scope="module")
async def test_2_its_transaction_ended_with_its_test(async_db_session):
    """It ends as a closed connection would, and nobody sees its row."""
    LEFT["may go on"].set()
    await asyncio.wait([LEFT["task"]], timeout=10)

    assert LEFT["task"].exception() is None
    assert await async_db_session.scalar(COUNT) == 0
