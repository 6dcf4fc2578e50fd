import os

import asyncpg
import psycopg
import psycopg2
import pytest

DSN = "postgresql://app@localhost/shop_test"


@pytest.fixture
def app(app):
    app.config.update(SQLALCHEMY_DATABASE_URI="postgresql+psycopg2://localhost/shop_test")
    app.config.update({"TESTING": True, "SQLALCHEMY_DATABASE_URI": os.environ["TEST_DB"]})
    app.config.from_mapping(TESTING=True, SQLALCHEMY_DATABASE_URI=DSN)
    return app


@pytest.fixture
async def connection():
    yield await asyncpg.connect(DSN)


def test_others():
    assert psycopg2.connect("dbname=shop")
    assert psycopg2.connect(host="localhost", dbname="shop")
    assert psycopg.connect(os.environ["DATABASE_URL"])
    assert psycopg.Connection.connect(DSN)
