"""Each fixture, at its smallest."""

import subprocess
import sys

from library.archive import OldLoan
from library.audit import AuditTrail
from library.lending import lend
from library.models import Author, Loan, Shelf
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.orm import Session

from tests.integration.factories import AuthorFactory, BookFactory


# --8<-- [start:session]
def test_db_session_arranges_and_asserts(db_session, db_engine):
    """What it has flushed, the code under test sees; what that commits, it sees."""
    book = BookFactory(title="Emma")
    with Session(db_engine) as session:
        lend(session, book.id, "Ada")

    assert db_session.scalar(select(Loan.borrower)) == "Ada"


# --8<-- [end:session]


# --8<-- [start:connection]
def test_db_connection_is_for_core(db_connection):
    """The same as db_session, without the ORM."""
    db_connection.execute(insert(Author).values(name="Jane Austen"))

    assert db_connection.scalar(select(Author.name)) == "Jane Austen"


# --8<-- [end:connection]


# --8<-- [start:engine]
def test_db_engine_is_for_code_under_test(db_engine, db_session):
    """Whoever takes an engine gets this one; what it commits is gone after the test."""
    with db_engine.begin() as connection:
        connection.execute(insert(Author).values(name="Jane Austen"))

    assert db_session.scalar(select(Author.name)) == "Jane Austen"


# --8<-- [end:engine]


# --8<-- [start:url]
def test_pg_url_is_for_code_that_makes_its_own_engine(pg, db_session):
    """The audit trail connects and commits by itself, in the same transaction of the test."""
    AuditTrail(pg.url).write("Ada has come")

    assert db_session.scalar(text("select text from entries")) == "Ada has come"


# --8<-- [end:url]


LISTING = """
import psycopg2, sys
cursor = psycopg2.connect(sys.argv[1]).cursor()
cursor.execute("select name from authors")
print(*cursor.fetchone())
"""


def test_pg_tcp_url_is_for_programs_that_know_no_socket(pg, db_session):
    """A process by itself, in any language: it sees what the test has committed."""
    AuthorFactory(name="Jane Austen")
    db_session.commit()
    command = [sys.executable, "-c", LISTING, pg.tcp_url]
    run = subprocess.run(command, capture_output=True, text=True, check=True)

    assert run.stdout == "Jane Austen\n"


# --8<-- [start:outside]
def test_pg_outside_sees_what_was_committed_for_real(db_session, pg):
    """Which is nothing, although the test and the application have committed."""
    db_session.add(Author(name="Jane Austen"))
    db_session.commit()

    assert db_session.scalar(text("select count(*) from authors")) == 1
    assert pg.outside("select count(*) from authors") == 0


# --8<-- [end:outside]


# --8<-- [start:statements]
def test_pg_statements_lists_what_was_sent(db_session, pg):
    """Every statement of every connection of the test, oldest first."""
    db_session.scalar(select(Author.name))

    assert pg.statements[-1].startswith("SELECT authors.name")


# --8<-- [end:statements]


# --8<-- [start:bind]
def test_pg_url_of_is_for_a_second_database(pg):
    """Each bind is a database with a transaction of its own."""
    with Session(create_engine(pg.url_of("archive"))) as session:
        session.add(OldLoan(borrower="Ada"))
        session.commit()

        assert session.scalar(select(OldLoan.borrower)) == "Ada"
    assert pg.outside("select count(*) from old_loans", of="archive") == 0


# --8<-- [end:bind]


# --8<-- [start:seed]
def test_every_test_begins_with_the_seeded_rows(db_session, pg):
    """The seed is committed for real, so it is there from outside too."""
    assert db_session.scalars(select(Shelf.name).order_by(Shelf.name)).all() == ["A", "B"]
    assert pg.outside("select count(*) from shelves") == 2


# --8<-- [end:seed]


# --8<-- [start:server]
def test_pg_server_says_where_the_test_runs(pg):
    """For a test that needs a version, or a message that names the server."""
    assert pg.server.version >= 140000
    assert pg.server.kind in ("given", "embedded")


# --8<-- [end:server]
