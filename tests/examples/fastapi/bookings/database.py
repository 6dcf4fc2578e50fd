"""The engine, made when the application is imported, and the session of a request."""

import os
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

# --8<-- [start:engine]
URL = os.environ.get("BOOKINGS_URL", "postgresql+asyncpg://bookings:secret@127.0.0.1:9/bookings")

engine = create_async_engine(URL)
new_session = async_sessionmaker(engine, expire_on_commit=False)


async def get_db() -> AsyncIterator[AsyncSession]:
    """The dependency of each endpoint that uses the database."""
    async with new_session() as session:
        yield session


# --8<-- [end:engine]
