"""The models of the shop."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all models."""


class Item(Base):
    """What the shop sells."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
