"""The one place where requests commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from claude_headspace.database import db


@contextmanager
def transaction() -> Iterator[Session]:
    """Give the request's session, commit at the end, roll back if anything is raised.

    What a request answers is built inside, where rows are still loaded.
    """
    session = db.session()
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
