"""Invoices, and those that nobody has paid within thirty days."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import DateTime, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What every table is declared on."""


class Invoice(Base):
    """What somebody has to pay; the database says since when."""

    __tablename__ = "invoices"

    id: Mapped[int] = mapped_column(primary_key=True)
    sent_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


def send(session):
    """Write an invoice, and commit."""
    session.add(Invoice())
    session.commit()


# --8<-- [start:overdue]
def overdue(session):
    """Those that were sent more than thirty days ago, by the clock of the database."""
    since = func.now() - timedelta(days=30)
    return session.scalars(select(Invoice).where(Invoice.sent_at < since)).all()


# --8<-- [end:overdue]
