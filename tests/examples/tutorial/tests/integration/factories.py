# ruff: noqa: D100, D101  # the tutorial explains what it shows
# --8<-- [start:whole]
import factory
from models import Product

from pgsandbox.factories import Factory


class ProductFactory(Factory):
    class Meta:
        model = Product

    name = factory.Sequence(lambda n: f"product {n}")
    stock = 1


# --8<-- [end:whole]
