"""Tests that fail, each in a way that the report below it explains."""

import asyncio

import pytest
from shop.models import Customer, Order
from shop.orders import buy, cancel, latest
from shop.stock import Shelf
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session


# --8<-- [start:refused]
def test_an_order_is_cancelled(db_engine, db_session):
    """The service and the table do not spell alike."""
    number = buy(db_engine, "ada@example.org", "tea")
    cancel(db_engine, number)

    assert db_session.get(Order, number).state == "cancelled"


# --8<-- [end:refused]


# --8<-- [start:missing-greenlet]
def test_the_customer_of_an_order(async_db_session, db_engine):
    """The relationship is loaded when nobody awaits."""
    buy(db_engine, "ada@example.org", "tea")
    order = asyncio.run(latest(async_db_session))

    assert order.customer.email == "ada@example.org"


# --8<-- [end:missing-greenlet]


# --8<-- [start:missing-relation]
def test_the_shelves_are_empty(db_session):
    """No model that the setting metadata leads to has this table."""
    assert db_session.scalar(select(func.count(Shelf.id))) == 0


# --8<-- [end:missing-relation]


# --8<-- [start:serializable]
def test_one_of_two_gives_way(db_engine, pg):
    """Two transactions that read what the other writes can't both commit, elsewhere."""
    buy(db_engine, "ada@example.org", "tea")
    url = pg.url.replace("+asyncpg", "+psycopg2")
    engine = create_engine(url, isolation_level="SERIALIZABLE")
    with Session(engine) as first, Session(engine) as second:
        for session in (first, second):
            order = session.scalar(select(Order))
            order.item = f"{order.item} and milk"
        first.commit()
        with pytest.raises(OperationalError):
            second.commit()


# --8<-- [end:serializable]


# --8<-- [start:dirty-read]
def test_nobody_sees_an_order_before_its_commit(db_engine):
    """Elsewhere, that is: here all connections are in one transaction."""
    with Session(db_engine) as buyer, Session(db_engine) as other:
        buyer.add(Order(item="tea", customer=Customer(email="ada@example.org")))
        buyer.flush()

        assert other.scalars(select(Order.item)).all() == []


# --8<-- [end:dirty-read]
