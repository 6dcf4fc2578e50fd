"""Rows for all tests of a class."""

# --8<-- [start:unittest]
import unittest

import pytest
from catalogue.models import Product
from catalogue.prices import raise_all
from sqlalchemy import select
from sqlalchemy.orm import Session


@pytest.fixture(scope="class")
def product(request, db_engine):
    """A product, and the engine where a ``TestCase`` can reach it."""
    request.cls.engine = db_engine
    with Session(db_engine) as session:
        session.add(Product(name="tea", price=100))
        session.commit()


@pytest.mark.usefixtures("product")
class Prices(unittest.TestCase):
    """Two tests that share a product."""

    def prices(self):
        """All of them."""
        with Session(self.engine) as session:
            return session.scalars(select(Product.price)).all()

    def test_rise(self):
        """By a tenth."""
        raise_all(self.engine, percent=10)

        assert self.prices() == [110]

    def test_fall(self):
        """By a tenth of what the fixture wrote, not of what the other test left."""
        raise_all(self.engine, percent=-10)

        assert self.prices() == [90]


# --8<-- [end:unittest]
