"""Objects for all tests of a module."""

# --8<-- [start:object]
import factory
import pytest
from catalogue.models import Product

from pgsandbox.factories import Factory


class ProductFactory(Factory):
    """A product with a name that no other has."""

    class Meta:
        model = Product

    name = factory.Sequence(lambda n: f"product {n}")


@pytest.fixture(scope="module")
def tea():
    """A product that all tests of this module share."""
    return ProductFactory(price=100)


def test_a_price_is_changed(tea, db_session):
    """The object is in the test's own session."""
    tea.price = 1
    db_session.commit()

    assert tea.price == 1


def test_a_price_is_as_it_was(tea):
    """Not only the row: the object, too."""
    assert tea.price == 100


# --8<-- [end:object]


# --8<-- [start:sequence]
def test_a_sequence_goes_on_after_what_stands(tea, db_session):
    """The fixture has taken number 0; each test begins at 1."""
    assert (tea.name, ProductFactory().name) == ("product 0", "product 1")


# --8<-- [end:sequence]
