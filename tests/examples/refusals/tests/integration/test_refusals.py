"""Tests that fail, each with the message that the site shows for it."""

import models
import pytest
from models import Entry, Offer, Order, Parcel
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session


# --8<-- [start:transactions-interleaved]
def test_an_entry_stays_when_its_order_fails(db_engine):
    """The audit trail commits on a connection of its own, between write and rollback."""
    with Session(db_engine) as orders, Session(db_engine) as audit:
        orders.add(Order(item="tea"))
        orders.flush()
        audit.add(Entry(text="tea was ordered"))
        audit.commit()
        orders.rollback()


# --8<-- [end:transactions-interleaved]


# --8<-- [start:outer-transaction-ended]
def test_a_function_hides_a_commit(db_connection):
    """Its argument is named begin, which is taken for the beginning of a body."""
    function = "CREATE FUNCTION half(begin int) RETURNS int LANGUAGE sql AS 'SELECT begin / 2'"
    db_connection.exec_driver_sql(f"{function}; COMMIT; SELECT half(2)")


# --8<-- [end:outer-transaction-ended]


# --8<-- [start:deferred-constraint-violated]
def test_two_offers_at_one_place(db_session):
    """The constraint is deferred, and the test ends before any commit checks it."""
    db_session.add_all([Offer(place=1), Offer(place=1)])
    db_session.flush()


# --8<-- [end:deferred-constraint-violated]


# --8<-- [start:escaped-from-sandbox]
def test_a_job_takes_a_lock(db_connection):
    """A lock of the session's, which neither the job nor a rollback gives back."""
    db_connection.execute(select(func.pg_advisory_lock(4711)))


# --8<-- [end:escaped-from-sandbox]


# --8<-- [start:not-in-sandbox]
def test_an_index_is_made_concurrently(db_connection):
    """PostgreSQL does that outside of transactions only."""
    db_connection.execute(text("CREATE INDEX CONCURRENTLY by_item ON orders (item)"))


# --8<-- [end:not-in-sandbox]


# --8<-- [start:sandbox-lost]
def test_the_connection_is_cut(db_engine):
    """As a fail-over would cut it: what the test wrote is gone with its transaction."""
    with db_engine.connect() as connection:
        connection.execute(select(func.pg_terminate_backend(func.pg_backend_pid())))


# --8<-- [end:sandbox-lost]


# --8<-- [start:foreign-database]
def test_the_application_uses_its_own_url(db_session):
    """The engine was made when the module was imported, from the settings of production."""
    with models.engine.connect():
        pass


# --8<-- [end:foreign-database]


# --8<-- [start:fixture-too-late]
@pytest.fixture(scope="module")
def stock(db_engine):
    """An order for all tests of this module."""
    with Session(db_engine) as session:
        session.add(Order(item="stock"))
        session.commit()


def test_a_fixture_comes_too_late(request, db_session):
    """The test has written already when it asks for the fixture."""
    db_session.add(Order(item="tea"))
    db_session.flush()

    request.getfixturevalue("stock")


# --8<-- [end:fixture-too-late]


# --8<-- [start:sql]
def test_a_failing_test_shows_its_statements(db_session):
    """Below the traceback stand the statements, each with the connection that sent it."""
    db_session.add(Order(item="tea"))
    db_session.commit()
    db_session.add(Order(item="milk"))
    db_session.flush()

    assert db_session.scalar(select(func.count(Order.id))) == 1


# --8<-- [end:sql]


# --8<-- [start:query-per-row]
@pytest.mark.pgsandbox(repeated_queries="fail 3")
def test_what_is_in_each_parcel(db_engine, db_session):
    """Three parcels, one query for them, and one for each."""
    db_session.add_all([Parcel(order=Order(item=item)) for item in ("tea", "milk", "sugar")])
    db_session.commit()
    with Session(db_engine) as session:
        found = models.contents(session)

    assert found == ["tea", "milk", "sugar"]


# --8<-- [end:query-per-row]
