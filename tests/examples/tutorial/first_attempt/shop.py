# ruff: noqa: D100, D103  # the tutorial explains what it shows
# --8<-- [start:whole]
from models import Product
from sqlalchemy import select
from sqlalchemy.orm import Session


def sell(engine, name, quantity):
    with Session(engine) as session:
        product = session.scalars(select(Product).where(Product.name == name)).one()
        product.stock -= quantity
        session.flush()


# --8<-- [end:whole]
