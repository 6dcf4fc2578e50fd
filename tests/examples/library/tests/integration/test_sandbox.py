"""What several transactions of one test do to each other, and in another process."""

import subprocess
import sys

from library.models import Author
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.integration.factories import AuthorFactory

NAMES = select(Author.name).order_by(Author.name)


# --8<-- [start:expressible]
def test_the_upper_of_two_open_transactions_rolls_back(db_engine, db_connection):
    """Nothing stands above what is undone, so the result is production's."""
    with Session(db_engine) as lower, Session(db_engine) as upper:
        lower.add(Author(name="Jane Austen"))
        lower.flush()
        upper.add(Author(name="Mary Shelley"))
        upper.flush()
        upper.rollback()
        lower.commit()

    assert db_connection.scalars(NAMES).all() == ["Jane Austen"]


# --8<-- [end:expressible]


# --8<-- [start:sealed]
def test_arranged_rows_stay_once_the_application_has_committed(db_session, db_engine):
    """The application's commit stays whatever the test's own session does, and so do its rows."""
    db_session.add(Author(name="Jane Austen"))
    db_session.flush()
    with Session(db_engine) as session:
        session.add(Author(name="Mary Shelley"))
        session.commit()
    db_session.rollback()

    assert db_session.scalars(NAMES).all() == ["Jane Austen", "Mary Shelley"]


# --8<-- [end:sealed]


def test_another_process_joins_the_test(db_session, pg):
    """It sees what the test has committed, by the URL that it is given."""
    AuthorFactory(name="Jane Austen")
    db_session.commit()
    command = [sys.executable, "-m", "library.catalogue", pg.url]
    run = subprocess.run(command, capture_output=True, text=True, check=True)

    assert run.stdout == "Jane Austen\n"
