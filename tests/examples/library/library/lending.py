"""Lending: a service that commits by itself."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError

from library.models import Loan


class AlreadyLent(Exception):  # it says what happened
    """Somebody else has the book."""


def lend(session, book_id, borrower):
    """Lend a book and commit, or raise AlreadyLent."""
    session.add(Loan(book_id=book_id, borrower=borrower))
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise AlreadyLent(book_id) from error
