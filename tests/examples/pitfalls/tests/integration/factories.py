"""A factory that is right, and two that are not."""

import factory
from shop.models import Customer, Order

from pgsandbox.factories import Factory


# --8<-- [start:same]
class SameCustomerFactory(Factory):
    """A customer whose address is everybody's."""

    class Meta:
        model = Customer

    email = "ada@example.org"


# --8<-- [end:same]


# --8<-- [start:orphan]
class OrphanFactory(Factory):
    """An order of nobody."""

    class Meta:
        model = Order

    item = "tea"


# --8<-- [end:orphan]


class CustomerFactory(Factory):
    """A customer with an address of their own."""

    class Meta:
        model = Customer

    email = factory.Sequence(lambda n: f"customer{n}@example.org")


class OrderFactory(Factory):
    """An order with its customer."""

    class Meta:
        model = Order

    item = "tea"
    customer = factory.SubFactory(CustomerFactory)
