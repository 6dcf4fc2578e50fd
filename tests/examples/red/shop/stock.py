"""What is in stock: a table that nothing of the settings leads to."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class StockBase(DeclarativeBase):
    """Another registry than the orders'."""


class Shelf(StockBase):
    """Where things lie."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
