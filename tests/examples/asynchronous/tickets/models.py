"""The tables."""

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The base of the models."""


class Show(Base):
    """Something that people want to see."""

    __tablename__ = "shows"
    __table_args__ = (CheckConstraint("seats >= 0", name="seats_left"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    seats: Mapped[int]
    orders: Mapped[list["Order"]] = relationship(back_populates="show")


class Order(Base):
    """One seat for one guest."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    guest: Mapped[str]
    show_id: Mapped[int] = mapped_column(ForeignKey("shows.id"))
    show: Mapped[Show] = relationship(back_populates="orders")
