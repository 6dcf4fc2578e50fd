# ruff: noqa: D100  # the tutorial explains what it shows
# --8<-- [start:sold]
import pytest
from factories import ProductFactory
from models import Product
from shop import sell
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError


def test_what_is_sold_leaves_the_stock(db_session, db_engine):
    """The row says so, and not the object that the test still holds."""
    ProductFactory(name="tea", stock=3)
    sell(db_engine, "tea", 2)
    stock = db_session.scalar(select(Product.stock))

    assert stock == 1


# --8<-- [end:sold]


# --8<-- [start:refused]
def test_nobody_sells_what_is_not_there(db_session, db_engine):
    """PostgreSQL refuses, and the stock is what it was."""
    ProductFactory(name="tea", stock=3)
    with pytest.raises(IntegrityError, match="stock_is_not_negative"):
        sell(db_engine, "tea", 4)

    assert db_session.scalar(select(Product.stock)) == 3


# --8<-- [end:refused]
