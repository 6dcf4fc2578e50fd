"""The hand-written recipe for asyncpg: as the other one, with one loop for the whole run."""

import pytest_asyncio
from database import database
from models import Base
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine():
    """A database with the schema, for the run."""
    with database() as blocking:
        Base.metadata.create_all(blocking)
        engine = create_async_engine(blocking.url.set(drivername="postgresql+asyncpg"))
        yield engine
        await engine.dispose()


@pytest_asyncio.fixture(loop_scope="session")
async def async_db_session(engine):
    """A session whose commits are savepoints of a transaction that never commits."""
    async with engine.connect() as connection:
        transaction = await connection.begin()
        async with AsyncSession(
            bind=connection, join_transaction_mode="create_savepoint", expire_on_commit=False
        ) as session:
            yield session
        await transaction.rollback()
