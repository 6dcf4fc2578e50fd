"""How many statements, and by which plan."""

from library.lending import lend
from library.models import Book, Loan
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from tests.integration.factories import BookFactory


# --8<-- [start:counting]
def test_a_book_brings_its_author_with_it(pg, db_engine, db_session):
    """However many books there are, the authors are asked for once: in the same statement."""
    BookFactory.create_batch(3)
    listing = select(Book).options(joinedload(Book.author))

    with Session(db_engine) as session, pg.counting(max=1, table="authors"):
        names = [book.author.name for book in session.scalars(listing)]

    assert len(names) == 3


# --8<-- [end:counting]


# --8<-- [start:plan]
def test_loans_of_a_book_are_found_by_an_index(pg, db_engine, db_session):
    """With as many loans as production has, the open one of a book is no search."""
    lend(Session(db_engine), BookFactory().id, "Ada")
    open_loan = select(Loan).where(Loan.book_id == 1, Loan.returned_at.is_(None))

    plan = pg.explain(open_loan, rows={"loans": 1_000_000})

    plan.assert_index("loans", "one_open_loan_per_book")


# --8<-- [end:plan]
