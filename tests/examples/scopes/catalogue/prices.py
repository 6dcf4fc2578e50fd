"""Prices: the code under test."""

from sqlalchemy import text


def raise_all(engine, percent):
    """Raise every price, in a transaction of its own."""
    with engine.begin() as connection:
        connection.execute(
            text("update products set price = price * (100 + :percent) / 100"),
            {"percent": percent},
        )
