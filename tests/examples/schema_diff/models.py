"""What the application believes of its database."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import CheckConstraint, Index, Numeric, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the tables have in common."""


class Product(Base):
    """Something to sell."""

    __tablename__ = "products"
    __table_args__ = (
        CheckConstraint("price > 0", name="products_price_check"),
        Index("products_on_sale", "name", postgresql_where="on_sale"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    on_sale: Mapped[bool] = mapped_column(server_default="true")
