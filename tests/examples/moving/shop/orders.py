"""The service."""

from sqlalchemy import select

from shop.models import Order


# --8<-- [start:cancel]
def cancel(session, order_id):
    """Cancel an order that is still open; say whether it was."""
    order = session.scalars(
        select(Order).where(Order.id == order_id, Order.state == "open")
    ).one_or_none()
    if order is None:
        return False
    order.state = "canceled"
    session.commit()
    return True


# --8<-- [end:cancel]


# --8<-- [start:fee]
def fee(cents):
    """What cancelling costs: a tenth, and at least 100."""
    return max(100, cents // 10)


# --8<-- [end:fee]
