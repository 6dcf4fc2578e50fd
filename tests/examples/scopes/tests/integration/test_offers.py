"""Code after the ``yield`` of a wider fixture."""

# --8<-- [start:teardown]
import pytest
from catalogue.models import Product
from catalogue.prices import raise_all
from sqlalchemy import select
from sqlalchemy.orm import Session


@pytest.fixture(scope="module")
def offer(db_engine):
    """A product; the code after the ``yield`` finds it as it was made."""
    with Session(db_engine) as session:
        session.add(Product(name="offer", price=1))
        session.commit()
        yield
        assert session.scalar(select(Product.price).filter_by(name="offer")) == 1


def test_an_offer_rises_too(offer, db_engine, db_session):
    """A hundred times."""
    raise_all(db_engine, percent=9900)

    assert db_session.scalar(select(Product.price).filter_by(name="offer")) == 100


# --8<-- [end:teardown]
