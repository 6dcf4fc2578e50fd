"""The same factories for every contender, on the base that it brings."""

from __future__ import annotations

import factory
from base import BaseFactory
from models import Customer, Order


class CustomerFactory(BaseFactory):
    """A customer with a name of its own."""

    class Meta:
        """The model."""

        model = Customer

    name = factory.Sequence(lambda n: f"customer {n}")


class OrderFactory(BaseFactory):
    """An order with a number of its own."""

    class Meta:
        """The model."""

        model = Order

    number = factory.Sequence(lambda n: n)
    customer = factory.SubFactory(CustomerFactory)
