"""Tests outside of ``paths`` that did not ask for the database."""

import models
from models import Order
from sqlalchemy.orm import Session

from pgsandbox.factories import Factory


# --8<-- [start:database-not-requested]
def test_a_unit_test_connects():
    """It requests no fixture, bears no marker, and stands in tests/unit."""
    with models.engine.connect():
        pass


# --8<-- [end:database-not-requested]


class OrderFactory(Factory):
    """An order."""

    class Meta:
        model = Order

    item = "tea"


# --8<-- [start:no-session]
def test_a_unit_test_calls_a_factory():
    """It needs no row: OrderFactory.build() would do."""
    OrderFactory()


# --8<-- [end:no-session]


# --8<-- [start:factory-error]
def test_a_factory_has_a_session_of_its_own():
    """The way of Factory Boy's own documentation: the session would outlive the test."""

    class StoredOrderFactory(Factory):
        class Meta:
            model = Order
            sqlalchemy_session = Session()


# --8<-- [end:factory-error]
