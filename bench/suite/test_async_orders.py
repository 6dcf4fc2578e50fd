"""The same work on an asynchronous session: five inserts, a commit, a query."""

from __future__ import annotations

import os

import pytest
from models import Customer, Order
from sqlalchemy import func, select

TESTS = range(int(os.environ["BENCH_TESTS"]))

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("number", TESTS)
async def test_orders_of_a_customer(async_db_session, number):
    """A test sees its own four orders, whatever the others committed."""
    customer = Customer(name=f"customer {number}")
    async_db_session.add(customer)
    await async_db_session.flush()
    for place in range(4):
        async_db_session.add(Order(number=4 * number + place, customer=customer))
        await async_db_session.flush()
    await async_db_session.commit()

    assert await async_db_session.scalar(select(func.count(Order.id))) == 4
