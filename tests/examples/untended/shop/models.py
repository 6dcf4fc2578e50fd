"""Models that have changed since the factories were written."""

import datetime as dt
import enum

from sqlalchemy import CheckConstraint, DateTime, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What the models have in common."""


class State(enum.Enum):
    """Where a parcel is."""

    PACKED = "packed"
    SENT = "sent"
    LOST = "lost"


class Customer(Base):
    """Someone who buys."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    joined_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))


class Order(Base):
    """What someone buys."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    customer: Mapped[Customer] = relationship()


class Invoice(Base):
    """What an order costs."""

    __tablename__ = "invoices"

    id: Mapped[int] = mapped_column(primary_key=True)


class Product(Base):
    """What is sold."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(unique=True)
    price: Mapped[int] = mapped_column(CheckConstraint("price > 0", name="price_is_positive"))


class Voucher(Base):
    """A code that is money."""

    __tablename__ = "vouchers"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)


class Parcel(Base):
    """What is sent."""

    __tablename__ = "parcels"
    __table_args__ = (
        CheckConstraint("(state = 'PACKED') = (sent_at IS NULL)", name="sent_parcels_have_a_time"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str]
    state: Mapped[State]
    sent_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))


class Note(Base):
    """What somebody wrote."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
