"""What one connection cannot show, in a database of the test's own."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from library.models import Author, Entry
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from tests.integration.factories import AuthorFactory, LoanFactory

pytestmark = pytest.mark.pgsandbox(isolation="clone")


# --8<-- [start:interleaved]
@pytest.mark.pgsandbox(isolation="clone")
def test_an_entry_stays_when_its_author_is_rolled_back(db_engine, db_connection):
    """The two transactions interleave, and each is real."""
    with Session(db_engine) as authors, Session(db_engine) as audit:
        authors.add(Author(name="Jane Austen"))
        authors.flush()
        audit.add(Entry(text="an author was added"))
        audit.commit()
        authors.rollback()

    assert db_connection.scalar(select(func.count(Author.id))) == 0
    assert db_connection.scalar(select(Entry.text)) == "an author was added"


# --8<-- [end:interleaved]


# --8<-- [start:lock]
@pytest.mark.pgsandbox(isolation="clone")
def test_a_locked_row_keeps_a_second_session_out(db_session, db_engine):
    """The factory's row is committed first, because real sessions see nothing else."""
    AuthorFactory()
    db_session.commit()
    locked = select(Author).with_for_update(nowait=True)

    with Session(db_engine) as first, Session(db_engine) as second:
        first.scalars(locked).one()
        with pytest.raises(OperationalError, match="could not obtain lock"):
            second.scalars(locked).one()


# --8<-- [end:lock]


# --8<-- [start:threads]
@pytest.mark.pgsandbox(isolation="clone")
def test_only_one_of_two_threads_adds_an_author(db_engine):
    """Both insert the same key at the same time; one waits for the other, and fails."""
    at_once = Barrier(2)

    def add(_):
        with Session(db_engine) as session:
            session.add(Author(id=1, name="Jane Austen"))
            at_once.wait(timeout=10)
            try:
                session.commit()
            except IntegrityError:
                return "refused"
            return "added"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(add, range(2))) == ["added", "refused"]


# --8<-- [end:threads]


# --8<-- [start:process]
@pytest.mark.pgsandbox(isolation="clone")
def test_another_process_sees_what_was_committed(db_session, pg):
    """It connects by the URL that it is given, to a database of this test alone."""
    AuthorFactory(name="Jane Austen")
    db_session.commit()
    command = [sys.executable, "-m", "library.catalogue", pg.url]
    run = subprocess.run(command, capture_output=True, text=True, check=True)

    assert run.stdout == "Jane Austen\n"


# --8<-- [end:process]


def test_now_goes_on(db_session):
    """Each transaction has its own beginning."""
    first = LoanFactory()
    db_session.commit()
    second = LoanFactory()

    assert second.lent_at > first.lent_at


def test_other_isolation_levels_are_real(db_engine):
    """The connection is one of the server's own."""
    engine = db_engine.execution_options(isolation_level="SERIALIZABLE")
    with engine.connect() as connection:
        assert connection.scalar(text("show transaction_isolation")) == "serializable"


def test_vacuum_runs(db_engine):
    """Outside of transactions, where PostgreSQL wants it."""
    engine = db_engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM authors"))


def test_raw_sql_ends_a_transaction(db_engine, pg):
    """It is committed by the statement itself."""
    with db_engine.connect() as connection:
        connection.execute(text("insert into authors (name) values ('Jane Austen')"))
        connection.execute(text("COMMIT"))

    assert pg.outside("select count(*) from authors") == 1


def test_the_seed_is_there(pg):
    """A clone is a copy of the test database."""
    assert pg.outside("select count(*) from shelves") == 2
