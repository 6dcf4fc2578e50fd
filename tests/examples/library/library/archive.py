"""The archive: a database of its own."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the archive's tables are declared on."""


class OldLoan(Base):
    """A loan that is over."""

    __tablename__ = "old_loans"

    id: Mapped[int] = mapped_column(primary_key=True)
    borrower: Mapped[str]
