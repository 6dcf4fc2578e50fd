"""The tables."""

from __future__ import annotations

from datetime import datetime

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What every table is declared on."""


db = SQLAlchemy(model_class=Base)


class Customer(db.Model):
    """Who buys."""

    __table_args__ = (UniqueConstraint("email", name="one_customer_per_email"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


class Order(db.Model):
    """What somebody bought."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    placed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    customer: Mapped[Customer] = relationship()
