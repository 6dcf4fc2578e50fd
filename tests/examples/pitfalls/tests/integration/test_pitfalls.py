"""Tests that fail, each with a failure that a newcomer meets early and the guide shows."""

import pytest
from factories import CustomerFactory, OrderFactory, OrphanFactory, SameCustomerFactory
from shop.models import Customer, Order
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session


# --8<-- [start:forgotten-commit]
def test_a_posted_order_is_stored(client, db_session):
    """The answer says 201; the database says what happened."""
    customer = CustomerFactory()
    response = client.post("/orders", json={"item": "tea", "customer": customer.id})
    item = db_session.scalar(select(Order.item))

    assert response.status_code == 201
    assert item == "tea"


# --8<-- [end:forgotten-commit]


# --8<-- [start:query-per-row]
def test_a_longer_list_takes_no_more_statements(client, pg):
    """One customer more for each order: the list must not ask for each."""
    OrderFactory()
    with pg.counting() as few:
        client.get("/orders")
    OrderFactory.create_batch(3)
    with pg.counting() as many:
        client.get("/orders")

    assert len(many) == len(few), str(many)


# --8<-- [end:query-per-row]


# --8<-- [start:fixed-id]
def test_the_first_order_is_number_one(db_session):
    """Not after a test that took number one from the sequence."""
    CustomerFactory.create_batch(2)
    db_session.execute(delete(Customer))
    number = CustomerFactory().id

    assert number == 1


# --8<-- [end:fixed-id]


# --8<-- [start:same-time]
def test_the_newer_order_is_newer(db_session):
    """Both times are the beginning of the test's transaction."""
    first = OrderFactory()
    second = OrderFactory()
    seconds = (second.placed_at - first.placed_at).total_seconds()

    assert seconds > 0


# --8<-- [end:same-time]


# --8<-- [start:same-email]
def test_two_customers(db_session):
    """A factory whose unique column is the same each time makes one object."""
    SameCustomerFactory.create_batch(2)


# --8<-- [end:same-email]


# --8<-- [start:no-parent]
def test_an_order_needs_a_customer(db_session):
    """A factory that leaves a required parent out makes none."""
    OrphanFactory()


# --8<-- [end:no-parent]


# --8<-- [start:pending-rollback]
def test_the_refused_customer_is_not_there(db_session):
    """After a refusal the session wants a rollback before it does anything else."""
    db_session.add(Customer(email="ada@example.org"))
    db_session.commit()
    db_session.add(Customer(email="ada@example.org"))
    with pytest.raises(IntegrityError, match="one_customer_per_email"):
        db_session.commit()

    assert db_session.scalars(select(Customer.email)).all() == ["ada@example.org"]


# --8<-- [end:pending-rollback]


# --8<-- [start:lock]
def test_a_locked_customer_keeps_a_second_session_out(db_session, db_engine):
    """Both sessions are on the test's one connection, which does not wait for itself."""
    CustomerFactory()
    locked = select(Customer).with_for_update(nowait=True)

    with Session(db_engine) as first, Session(db_engine) as second:
        first.scalars(locked).one()
        with pytest.raises(OperationalError, match="could not obtain lock"):
            second.scalars(locked).one()


# --8<-- [end:lock]


def test_the_list_asks_for_customers_once(client, pg):
    """Or not at all, where the orders bring them."""
    OrderFactory.create_batch(3)
    with pg.counting(max=1, table="customer"):
        client.get("/orders")
