"""What one transaction cannot show."""

from datetime import UTC, datetime, timedelta

import pytest
from library.models import Author, Loan
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import NotSupportedError
from sqlalchemy.orm import Session

from pgsandbox.errors import NotInSandbox
from tests.integration.factories import AuthorFactory, BookFactory, LoanFactory


# --8<-- [start:clock]
def test_now_stands_still(db_session):
    """It is the beginning of the transaction, and the whole test is one; other clocks go on."""
    before = db_session.scalar(select(func.clock_timestamp()))
    first = LoanFactory()
    db_session.commit()
    second = LoanFactory()

    assert second.lent_at == first.lent_at
    assert db_session.scalar(select(func.clock_timestamp())) > before


# --8<-- [end:clock]


# --8<-- [start:given-time]
def test_a_time_that_the_test_gives(db_session):
    """The order of two rows is arranged, and does not depend on a clock."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    LoanFactory(borrower="Ada", lent_at=noon)
    LoanFactory(borrower="Bob", lent_at=noon + timedelta(days=1))

    newest_first = select(Loan.borrower).order_by(Loan.lent_at.desc())
    assert db_session.scalars(newest_first).all() == ["Bob", "Ada"]


# --8<-- [end:given-time]


# --8<-- [start:sequence]
def test_sequences_are_not_rolled_back(db_session, pg):
    """The row is not seen from outside, the number that it took is: the next test gets the next."""
    author = AuthorFactory()

    assert pg.outside("select count(*) from authors") == 0
    assert pg.outside("select last_value from authors_id_seq") == author.id


# --8<-- [end:sequence]


# --8<-- [start:lock]
def test_row_locks_do_not_keep_the_tests_own_sessions_out(db_session, db_engine):
    """All share one session on the server, which never waits for itself, as NOWAIT shows."""
    BookFactory(title="Emma")
    locked = select(Author).with_for_update(nowait=True)
    with Session(db_engine) as first, Session(db_engine) as second:
        assert first.scalars(locked).one().id == second.scalars(locked).one().id


# --8<-- [end:lock]


# --8<-- [start:unseen]
def test_an_uncommitted_row_is_seen(db_engine):
    """All are one transaction on the server; in production the second would see nothing."""
    with Session(db_engine) as first, Session(db_engine) as second:
        first.add(Author(name="Jane"))
        first.flush()

        assert second.scalar(select(Author.name)) == "Jane"


# --8<-- [end:unseen]


# --8<-- [start:one-number]
def test_all_transactions_have_one_number(db_engine):
    """They are savepoints of one; in production each has its own."""
    number = select(func.pg_current_xact_id())
    with Session(db_engine) as first, Session(db_engine) as second:
        assert first.scalar(number) == second.scalar(number)


# --8<-- [end:one-number]


# --8<-- [start:level]
def test_another_isolation_level_is_refused(db_engine):
    """All transactions of the test share one, which is READ COMMITTED."""
    with db_engine.connect() as connection:
        connection.execution_options(isolation_level="SERIALIZABLE")

        with pytest.raises(NotSupportedError, match="SERIALIZABLE"):
            connection.execute(select(Author))


# --8<-- [end:level]


# --8<-- [start:engine-level]
def test_an_engine_made_for_another_level_runs_at_read_committed(pg):
    """Its owner can't change it test by test, so it is let through."""
    with create_engine(pg.url, isolation_level="SERIALIZABLE").connect() as connection:
        assert connection.scalar(text("show transaction_isolation")) == "read committed"


# --8<-- [end:engine-level]


# --8<-- [start:vacuum]
def test_what_needs_no_transaction_is_refused(db_engine):
    """PostgreSQL runs VACUUM outside of transactions only."""
    refusal = pytest.raises(NotSupportedError, match="VACUUM")
    with db_engine.connect() as connection, refusal as refused:
        connection.execute(text("VACUUM authors"))

    assert isinstance(refused.value.orig.__cause__, NotInSandbox)


# --8<-- [end:vacuum]
