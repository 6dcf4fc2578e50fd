"""The carrier's feed: an asynchronous consumer, on asyncpg and without SQLAlchemy."""

import asyncpg


# --8<-- [start:feed]
async def deliver(dsn, codes):
    """Mark the parcels as delivered, all or none."""
    update = "update parcels set is_delivered = true where code = $1"
    async with (
        asyncpg.create_pool(dsn, min_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        await connection.executemany(update, [(code,) for code in codes])


# --8<-- [end:feed]
