"""What is done with orders; each function commits what it does."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.models import Customer, Order


# --8<-- [start:cancel]
def cancel(engine, number):
    """Cancel an order, by a word that the table does not know."""
    with Session(engine) as session, session.begin():
        order = session.get(Order, number)
        order.state = "canceled"


# --8<-- [end:cancel]


def buy(engine, email, item):
    """Store a customer, and an order of theirs; return the order's number."""
    with Session(engine) as session, session.begin():
        order = Order(item=item, customer=Customer(email=email))
        session.add(order)
        session.flush()
        return order.id


async def latest(session):
    """The order that was stored last."""
    return await session.scalar(select(Order).order_by(Order.id.desc()).limit(1))
