"""The tables."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What every table is declared on."""


class Customer(Base):
    """Who buys."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


# --8<-- [start:order]
class Order(Base):
    """What somebody bought."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("state in ('open', 'sent', 'cancelled')", name="an_order_has_a_state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    state: Mapped[str] = mapped_column(default="open")
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))

    customer: Mapped[Customer] = relationship()


# --8<-- [end:order]
