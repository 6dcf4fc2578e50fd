"""A table that can't be made: the embedded server has no extension ``citext`` switched on."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the table is declared on."""


# --8<-- [start:customer]
class Customer(Base):
    """Somebody who buys."""

    __tablename__ = "customers"

    email: Mapped[str] = mapped_column(CITEXT, primary_key=True)


# --8<-- [end:customer]
