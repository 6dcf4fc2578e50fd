"""The tables."""

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What every table is declared on."""


# --8<-- [start:order]
class Order(Base):
    """Something that was bought."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'paid', 'cancelled')", name="an_order_has_a_state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    cents: Mapped[int]
    state: Mapped[str] = mapped_column(default="open")


# --8<-- [end:order]
