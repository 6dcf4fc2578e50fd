"""What the clock of the database decides."""

from datetime import UTC, datetime

import pytest
from invoices import Invoice, overdue, send
from sqlalchemy import select
from sqlalchemy.orm import Session


@pytest.fixture
def session(db_engine):
    """The application's."""
    with Session(db_engine) as session:
        yield session


# --8<-- [start:order]
def test_the_second_invoice_is_later(session, db_session):
    """Each was written in a transaction of its own, which has a beginning of its own."""
    send(session)
    send(session)
    first, second = db_session.scalars(select(Invoice.sent_at).order_by(Invoice.id))

    assert first < second


# --8<-- [end:order]


# --8<-- [start:advance]
def test_an_invoice_is_overdue_after_thirty_days(session, db_clock):
    """Nothing waits for them."""
    send(session)
    db_clock.advance(days=30)

    assert len(overdue(session)) == 1


# --8<-- [end:advance]


# --8<-- [start:set]
def test_an_invoice_of_a_leap_day(session, db_clock):
    """The clock stands where it was set."""
    db_clock.set(datetime(2028, 2, 29, 12, tzinfo=UTC))
    send(session)

    assert session.scalar(select(Invoice.sent_at)) == datetime(2028, 2, 29, 12, tzinfo=UTC)


# --8<-- [end:set]
