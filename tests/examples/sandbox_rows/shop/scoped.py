"""The shop by a scoped session, on an engine made at import time."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from shop.settings import main_url

_engine = create_engine(main_url())
session = scoped_session(sessionmaker(_engine))


def engine() -> Engine:
    """The shop's engine."""
    return _engine


@contextmanager
def open_session() -> Iterator[scoped_session[Session]]:
    """The session of the running thread, removed at the end of a ``with`` block."""
    try:
        yield session
    finally:
        session.remove()
