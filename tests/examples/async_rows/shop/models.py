"""The shop's tables."""

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of the shop's models."""


class Item(Base):
    """Something to sell."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class Part(Base):
    """A part of an item, which may be written before the item is."""

    __tablename__ = "parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(
        ForeignKey("items.id", deferrable=True, initially="DEFERRED", name="parts_item")
    )


class Shelf(Base):
    """A shelf whose position may be taken twice until its transaction ends, if one asks for it."""

    __tablename__ = "shelves"
    __table_args__ = (
        UniqueConstraint(
            "position", deferrable=True, initially="IMMEDIATE", name="shelves_position"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int]
