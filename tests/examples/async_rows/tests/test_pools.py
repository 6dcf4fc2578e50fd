"""Every pool of SQLAlchemy, pinged or not, in one test after the other."""

import pytest
from shop.models import Item
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, StaticPool

COUNT = select(func.count(Item.id))
POOLS = [NullPool, StaticPool, AsyncAdaptedQueuePool]
KEPT = {}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("pre_ping", [False, True])
async def test_every_pool_hands_out_connections_of_the_test(pg, async_db_session, pool, pre_ping):
    """Commit, rollback and close mean the same with every pool, pinged or not."""
    engine = create_async_engine(pg.url, poolclass=pool, pool_pre_ping=pre_ping)
    async with engine.connect() as connection:
        await connection.execute(insert(Item).values(name="committed"))
        await connection.commit()
        await connection.execute(insert(Item).values(name="forgotten"))
    async with engine.begin() as connection:
        await connection.execute(insert(Item).values(name="second use"))

    assert await async_db_session.scalar(COUNT) == 2


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("pre_ping", [False, True])
async def test_a_pool_that_outlives_its_test_serves_the_next(pg, pool, pre_ping, turn):
    """An engine that several tests use one after the other brings no row from one to the next."""
    engine = KEPT.setdefault(
        (pool, pre_ping), create_async_engine(pg.url, poolclass=pool, pool_pre_ping=pre_ping)
    )
    async with engine.begin() as connection:
        assert await connection.scalar(COUNT) == 0
        await connection.execute(insert(Item).values(name=f"turn {turn}"))

    async with engine.connect() as connection:
        assert await connection.scalar(COUNT) == 1


async def test_pings_are_not_counted(pg):
    """Neither those of a pool, nor BEGIN and COMMIT, nor the savepoints that hold the test."""
    engine = create_async_engine(pg.url, pool_pre_ping=True)
    async with engine.begin() as connection:
        await connection.execute(insert(Item).values(name="first"))
    with pg.counting() as queries:
        async with engine.begin() as connection:
            await connection.execute(insert(Item).values(name="second"))

    assert len(queries) == 1, queries
