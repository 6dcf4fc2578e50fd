"""Tests that import nothing of production but what they test."""

# --8<-- [start:test]
from shop.models import Order
from shop.orders import place
from sqlalchemy import func, select
from sqlalchemy.orm import sessionmaker


def test_an_order_is_stored(db_engine, db_session):
    """The service commits on connections of its own, and the test reads by its session."""
    place("tea", sessionmaker(db_engine))

    assert db_session.scalar(select(func.count(Order.id))) == 1


# --8<-- [end:test]
