"""The tables."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What every table is declared on."""


db = SQLAlchemy(model_class=Base)


class Order(db.Model):
    """What somebody bought."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]


class Mail(db.Model):
    """What is to be sent to somebody."""

    __tablename__ = "mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
