"""The tables of a small shop."""

from __future__ import annotations

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What every table of the shop is declared on."""


# --8<-- [start:product]
class Product(Base):
    """Something the shop sells."""

    __tablename__ = "products"
    __table_args__ = (CheckConstraint("price_cents > 0", name="products_have_a_price"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    price_cents: Mapped[int]


# --8<-- [end:product]
