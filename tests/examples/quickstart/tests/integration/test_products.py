"""What the database promises about products."""

import pytest
from models import Product
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError


# --8<-- [start:committed]
def test_a_committed_product_is_read_back(db_session):
    """A commit is visible to the rest of its test."""
    db_session.add(Product(name="tea", price_cents=450))
    db_session.commit()

    assert db_session.scalar(select(Product.price_cents).where(Product.name == "tea")) == 450


# --8<-- [end:committed]


# --8<-- [start:gone]
def test_no_test_sees_the_product_of_another(db_session):
    """The tea above is gone: its test ran in a transaction that was rolled back."""
    products = db_session.scalar(select(func.count(Product.id)))

    assert products == 0


# --8<-- [end:gone]


# --8<-- [start:check]
def test_a_product_costs_something(db_session):
    """The check constraint is PostgreSQL's own, so a free product is refused."""
    db_session.add(Product(name="air", price_cents=0))

    with pytest.raises(IntegrityError, match="products_have_a_price"):
        db_session.commit()


# --8<-- [end:check]
