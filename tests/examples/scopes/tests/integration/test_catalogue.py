"""Rows for all tests of a module."""

# --8<-- [start:smallest]
import pytest
from catalogue.models import Product
from catalogue.prices import raise_all
from sqlalchemy import select
from sqlalchemy.orm import Session


@pytest.fixture(scope="module")
def catalogue(db_engine):
    """Two products."""
    with Session(db_engine) as session:
        session.add_all([Product(name="tea", price=100), Product(name="coffee", price=200)])
        session.commit()


def test_prices_rise_by_a_tenth(catalogue, db_engine, db_session):
    """The code under test commits; its rows are those of the fixture."""
    raise_all(db_engine, percent=10)

    assert set(db_session.scalars(select(Product.price))) == {110, 220}


# --8<-- [end:smallest]


# --8<-- [start:next]
def test_prices_double(catalogue, db_engine, db_session):
    """What the other test has done to the rows is undone."""
    raise_all(db_engine, percent=100)

    assert set(db_session.scalars(select(Product.price))) == {200, 400}


# --8<-- [end:next]


# --8<-- [start:clone]
@pytest.mark.pgsandbox(isolation="clone")
def test_a_database_of_its_own_has_the_rows_too(catalogue, pg):
    """The fixture is set up again, for this test alone, with real commits."""
    assert pg.outside("select count(*) from products") == 2


# --8<-- [end:clone]
