# ruff: noqa: D100  # the tutorial explains what it shows
# --8<-- [start:whole]
from models import Product
from sqlalchemy import func, select


def test_a_product_is_stored(db_session):
    """What is committed is read back."""
    db_session.add(Product(name="tea", stock=3))
    db_session.commit()

    assert db_session.scalar(select(Product.stock)) == 3


def test_the_next_test_begins_with_an_empty_table(db_session):
    """The tea above was committed, and is gone."""
    assert db_session.scalar(select(func.count(Product.id))) == 0


# --8<-- [end:whole]
