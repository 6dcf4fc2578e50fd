"""A unit test that would empty a development database."""

import os

from sqlalchemy import create_engine, text


def test_purge():
    """It is green wherever nobody stands guard."""
    engine = create_engine(os.environ["DATABASE_URL"])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM orders"))
