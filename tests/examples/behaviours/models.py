"""The tables that every behaviour finds; most make their own beside them."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All of them."""


class Item(Base):
    """What is written most."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    amount: Mapped[int] = mapped_column(server_default="0")


class Parent(Base):
    """What a part belongs to."""

    __tablename__ = "parents"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Part(Base):
    """Its parent may come later in the transaction."""

    __tablename__ = "parts"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    client: Mapped[int] = mapped_column(server_default="0")
    parent: Mapped[int | None] = mapped_column(
        ForeignKey("parents.number", deferrable=True, initially="DEFERRED")
    )
