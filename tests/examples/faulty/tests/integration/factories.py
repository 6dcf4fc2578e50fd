"""A factory with a session of its own."""

import factory
from factory.alchemy import SQLAlchemyModelFactory
from shop.database import SessionLocal
from shop.models import Product


class ProductFactory(SQLAlchemyModelFactory):
    """A product."""

    class Meta:
        model = Product
        sqlalchemy_session_factory = SessionLocal

    name = factory.Sequence(lambda n: f"product-{n}")
