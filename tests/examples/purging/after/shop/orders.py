"""What the shop does."""

from shop.database import SessionLocal
from shop.models import Order


# --8<-- [start:place]
def place(item, make_session=SessionLocal):
    """Store an order and return its number."""
    with make_session() as session:
        order = Order(item=item)
        session.add(order)
        session.commit()
        return order.id


# --8<-- [end:place]
