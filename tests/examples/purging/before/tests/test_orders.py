"""Tests that import what production uses."""

# --8<-- [start:test]
from shop.database import SessionLocal
from shop.models import Order
from shop.orders import place
from sqlalchemy import func, select


def test_an_order_is_stored():
    """The service commits, and the test reads by the same session maker."""
    place("tea")

    with SessionLocal() as session:
        assert session.scalar(select(func.count(Order.id))) == 1


# --8<-- [end:test]
