"""The shop by plain sessions, on an engine made at import time."""

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from shop.settings import main_url

engine = create_async_engine(main_url())
open_session = async_sessionmaker(engine, expire_on_commit=False)
