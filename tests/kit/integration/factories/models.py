"""Models of the factories' tests: a shelf of books, with what a factory can meet."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    relationship,
    validates,
)


class Base(DeclarativeBase):
    """The registry of all of them."""


class Author(Base):
    """Has books."""

    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str | None] = mapped_column(unique=True)
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by="Book.id")


class Book(Base):
    """Has an author and pages."""

    __tablename__ = "books"
    __table_args__ = (UniqueConstraint("author_id", "title"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    slug: Mapped[str | None]
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author] = relationship(back_populates="books")
    pages: Mapped[list[Page]] = relationship(back_populates="book", order_by="Page.id")


class Page(Base):
    """Has a book."""

    __tablename__ = "pages"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"))
    book: Mapped[Book] = relationship(back_populates="pages")


class Loan(Base):
    """Refers to a book by its number alone."""

    __tablename__ = "loans"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"))
    label: Mapped[str | None]


class Review(Base):
    """Looks at its book as it is made, in a constructor of its own."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]

    def __init__(self, book: Book) -> None:
        self.text = f"of book {book.id}"


class Award(Base):
    """Looks at its book as it is assigned, in a validator."""

    __tablename__ = "awards"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"))
    book: Mapped[Book] = relationship()

    @validates("book")
    def _describe(self, _: str, book: Book) -> Book:
        self.text = f"for book {book.id}"
        return book


class Sticker(MappedAsDataclass, Base):
    """Is a dataclass, with a constructor that dataclasses made."""

    __tablename__ = "stickers"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"), init=False)
    book: Mapped[Book] = relationship()
    text: Mapped[str] = mapped_column(default="")
