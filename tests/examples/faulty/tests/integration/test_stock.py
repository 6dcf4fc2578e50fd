"""Every fault that pgsandbox lint knows."""

import time
from threading import Thread
from unittest.mock import MagicMock, patch

from factories import ProductFactory
from shop import stock
from shop.mailer import send
from shop.models import Product
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session


@patch("shop.stock.SessionLocal")
def test_a_product_is_added(session_local):
    """Whatever it does, the mock accepts it."""
    stock.add("tea")

    session_local.return_value.__enter__.return_value.commit.assert_called_once()


def test_a_product_is_found():
    """A repository that finds what it was told to find."""
    session = MagicMock(spec=Session)
    with patch.object(stock.ProductRepository, "find", return_value=session):
        assert stock.ProductRepository().find("tea") is session


def test_the_first_product_has_the_first_id():
    """Where no test ran before."""
    product = ProductFactory()

    assert product.id == 1


def test_a_worker_adds_a_product(session):
    """Two seconds are enough, on this machine."""
    Thread(target=stock.add, args=["tea"]).start()
    time.sleep(2)

    assert session.scalar(select(Product.name)) == "tea"


def test_on_another_database():
    """SQLite is PostgreSQL, more or less."""
    with Session(create_engine("sqlite://")) as session:
        session.add(Product(name="tea"))
        session.commit()


def test_with_an_engine_of_its_own():
    """On the database that everybody develops with."""
    with create_engine("postgresql+psycopg2://localhost/shop").connect() as connection:
        assert connection.scalar(select(Product.name)) is None
    time.sleep(0.1)  # pgsandbox: ignore[PGS301]
    send("ada@example.org", "done")  # pgsandbox: ignore[PGS201] no mock here
