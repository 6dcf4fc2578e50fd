"""The tables of a shop, for tests that all fail."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

engine = create_engine("postgresql+psycopg2://shop:secret@localhost:5432/shop")


class Base(DeclarativeBase):
    """What every table of the shop is declared on."""


class Order(Base):
    """Something that was bought."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]


class Entry(Base):
    """A line of the audit trail."""

    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class Offer(Base):
    """What the front page shows; two offers may swap places within one transaction."""

    __tablename__ = "offers"
    __table_args__ = (
        UniqueConstraint(
            "place", name="one_offer_per_place", deferrable=True, initially="DEFERRED"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int]


class Parcel(Base):
    """What is sent to whoever has ordered."""

    __tablename__ = "parcels"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))

    order: Mapped[Order] = relationship()


# --8<-- [start:row-by-row]
def contents(session):
    """What is in each parcel, and a query for each of them."""
    parcels = session.scalars(select(Parcel).order_by(Parcel.id))
    return [parcel.order.item for parcel in parcels]


# --8<-- [end:row-by-row]
