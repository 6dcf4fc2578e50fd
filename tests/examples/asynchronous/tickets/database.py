"""The engine, made when the application is imported, and the session of a request."""

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from tickets.settings import database_url

# --8<-- [start:engine]
engine = create_async_engine(database_url())
new_session = async_sessionmaker(engine, expire_on_commit=False)


async def session_of_request() -> AsyncIterator[AsyncSession]:
    """The dependency of each endpoint that uses the database."""
    async with new_session() as session:
        yield session


# --8<-- [end:engine]
