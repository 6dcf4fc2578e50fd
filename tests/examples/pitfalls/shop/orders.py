"""``/orders``: two views, each with a fault."""

from flask import Blueprint, request
from sqlalchemy import select

from shop.models import Order, db

blueprint = Blueprint("orders", __name__, url_prefix="/orders")


# --8<-- [start:add]
@blueprint.post("")
def add():
    """Store an order, and forget to commit it."""
    order = Order(item=request.json["item"], customer_id=request.json["customer"])
    db.session.add(order)
    db.session.flush()
    return {"id": order.id}, 201


# --8<-- [end:add]


# --8<-- [start:index]
@blueprint.get("")
def index():
    """All orders, and a query for the customer of each."""
    orders = db.session.scalars(select(Order).order_by(Order.id))
    return {"orders": [f"{order.item} for {order.customer.email}" for order in orders]}


# --8<-- [end:index]
