"""Whether the database answers."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

_log = logging.getLogger(__name__)


def database_answers(session: Session) -> bool:
    """Return whether the database answers a query; why it does not is in the log."""
    try:
        session.execute(select(1))
    except SQLAlchemyError as error:
        session.rollback()
        _log.warning("the database does not answer: %s", error)
        return False
    return True
