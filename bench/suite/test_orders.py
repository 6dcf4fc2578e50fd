"""The body that every contender runs: five inserts by factories, a commit, a query."""

from __future__ import annotations

import os

import pytest
from factories import CustomerFactory, OrderFactory
from models import Order
from sqlalchemy import func, select

TESTS = range(int(os.environ["BENCH_TESTS"]))


@pytest.mark.parametrize("number", TESTS)
def test_orders_of_a_customer(db_session, number):
    """A test sees its own four orders, whatever the others committed."""
    customer = CustomerFactory()
    for _ in range(4):
        OrderFactory(customer=customer)
    db_session.commit()

    assert db_session.scalar(select(func.count(Order.id))) == 4
