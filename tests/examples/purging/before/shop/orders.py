"""What the shop does."""

from shop.database import SessionLocal
from shop.models import Order


# --8<-- [start:place]
def place(item):
    """Store an order and return its number."""
    with SessionLocal() as session:
        order = Order(item=item)
        session.add(order)
        session.commit()
        return order.id


# --8<-- [end:place]
