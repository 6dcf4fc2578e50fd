"""What the shop stores."""

from __future__ import annotations

import enum

from sqlalchemy import CheckConstraint, Enum
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What every model inherits."""


class State(enum.StrEnum):
    """How far an order is."""

    NEW = "new"
    SENT = "sent"


class Order(Base):
    """What a customer ordered."""

    __tablename__ = "orders"
    __table_args__ = (CheckConstraint("amount > 0", name="amount_is_positive"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int]
    state: Mapped[State] = mapped_column(
        Enum(State, name="state", values_callable=lambda states: [each.value for each in states])
    )
