"""The shop by a session for each task, on an engine made at import time."""

from asyncio import current_task
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)

from shop.settings import main_url

engine = create_async_engine(main_url())
session = async_scoped_session(async_sessionmaker(engine), scopefunc=current_task)


@asynccontextmanager
async def open_session() -> AsyncIterator[async_scoped_session[AsyncSession]]:
    """The session of the running task, removed at the end of an ``async with`` block."""
    try:
        yield session
    finally:
        await session.remove()
