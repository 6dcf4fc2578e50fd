"""A factory for each table."""

import factory
from tickets.models import Order, Show

from pgsandbox.factories import Factory


class ShowFactory(Factory):
    """A show with ten seats left."""

    class Meta:
        model = Show

    title = factory.Sequence(lambda n: f"show-{n}")
    seats = 10


class OrderFactory(Factory):
    """A seat that was sold."""

    class Meta:
        model = Order

    guest = "Ada"
    show = factory.SubFactory(ShowFactory)
