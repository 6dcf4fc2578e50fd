"""The shop by plain sessions, on an engine made at import time."""

from contextlib import AbstractContextManager

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from shop.settings import main_url

_engine = create_engine(main_url())
_make_session = sessionmaker(_engine)


def engine() -> Engine:
    """The shop's engine."""
    return _engine


def open_session() -> AbstractContextManager[Session]:
    """A session that closes at the end of a ``with`` block."""
    return _make_session()
