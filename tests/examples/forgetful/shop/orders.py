"""``/orders``, and the mails that they cause."""

from flask import Blueprint, request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shop.models import Mail, Order, db

blueprint = Blueprint("orders", __name__, url_prefix="/orders")


# --8<-- [start:add]
@blueprint.post("")
def add():
    """Store an order, and forget to commit it."""
    order = Order(item=request.json["item"])
    db.session.add(order)
    db.session.flush()
    return {"id": order.id}, 201


# --8<-- [end:add]


# --8<-- [start:confirm]
@blueprint.post("/confirmed")
def confirm():
    """Store an order and a mail about it, which is written by a service of its own."""
    db.session.add(Order(item=request.json["item"]))
    db.session.flush()
    write_mail()
    db.session.commit()
    return {}, 201


def write_mail():
    """Write down how many orders there are."""
    with Session(db.engine) as session, session.begin():
        count = session.scalar(select(func.count(Order.id)))
        session.add(Mail(text=f"{count} orders"))


# --8<-- [end:confirm]
