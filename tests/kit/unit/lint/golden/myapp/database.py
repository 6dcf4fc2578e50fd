import os

import sqlalchemy as sa
from sqlalchemy.ext import asyncio as aio
from sqlalchemy.orm import Session, scoped_session, sessionmaker

URL = os.environ["DATABASE_URL"]


def make_engine(url=URL):
    return sa.create_engine(url)


if URL:
    engine = make_engine()
else:
    engine = sa.create_engine(URL, echo=True)

SessionLocal = sessionmaker(bind=engine)
Unbound = sessionmaker()
Scoped = scoped_session(sessionmaker(engine))
ScopedUnbound = scoped_session(Unbound)
session = SessionLocal()
async_engine = aio.create_async_engine(URL)
async_session = aio.async_sessionmaker(async_engine)


def get_db():
    with Session(engine) as session:
        yield session
