"""What is for sale."""

from sqlalchemy import select

from shop.database import SessionLocal
from shop.models import Product


class ProductRepository:
    """The products, by name."""

    def find(self, name: str) -> Product | None:
        """Return the product called *name*."""
        with SessionLocal() as session:
            return session.scalar(select(Product).where(Product.name == name))


def add(name: str) -> int:
    """Put a product on sale, and return its id."""
    with SessionLocal() as session:
        product = Product(name=name)
        session.add(product)
        session.commit()
        return product.id
