"""The tables of the library."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What every table is declared on."""


class Shelf(Base):
    """Where books stand."""

    __tablename__ = "shelves"

    name: Mapped[str] = mapped_column(primary_key=True)


class Author(Base):
    """Who wrote a book."""

    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Book(Base):
    """A book, at its place among the others; two may swap places within one transaction."""

    __tablename__ = "books"
    __table_args__ = (
        UniqueConstraint("place", name="one_book_per_place", deferrable=True, initially="DEFERRED"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    place: Mapped[int | None]
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))

    author: Mapped[Author] = relationship()


class Loan(Base):
    """A book in somebody's hands, until it is returned; each book has one open loan at most."""

    __tablename__ = "loans"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"))
    borrower: Mapped[str]
    lent_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    returned_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    book: Mapped[Book] = relationship()

    __table_args__ = (
        Index(
            "one_open_loan_per_book", "book_id", unique=True, postgresql_where=returned_at.is_(None)
        ),
    )


class Entry(Base):
    """A line of the audit trail."""

    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
