"""The same claims, made to PostgreSQL."""

# --8<-- [start:first]
from shop.models import Order
from shop.orders import cancel
from sqlalchemy import select
from sqlalchemy.orm import Session


def test_an_open_order_is_cancelled(db_session, db_engine):
    """The row says so, to a session that has not seen the object."""
    order = Order(cents=2000)
    db_session.add(order)
    db_session.flush()
    with Session(db_engine) as session:
        assert cancel(session, order.id) is True

    assert db_session.scalar(select(Order.state)) == "cancelled"


# --8<-- [end:first]


# --8<-- [start:where]
def test_a_paid_order_is_not_cancelled(db_session):
    """The mock could not tell: the condition is in the WHERE clause."""
    order = Order(cents=2000, state="paid")
    db_session.add(order)
    db_session.flush()

    assert cancel(db_session, order.id) is False
    assert db_session.scalar(select(Order.state)) == "paid"


# --8<-- [end:where]
