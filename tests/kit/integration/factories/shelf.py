"""Factories of the models beside this file, as people write them."""

from __future__ import annotations

import factory

from pgsandbox.factories import Factory
from tests.kit.integration.factories.models import Author, Book, Page


class AuthorFactory(Factory[Author]):
    """Makes authors with names of their own."""

    class Meta:
        model = Author

    name = factory.Sequence(lambda n: f"Author {n}")


class BookFactory(Factory[Book]):
    """Makes a book and its author."""

    class Meta:
        model = Book

    title = factory.Sequence(lambda n: f"Book {n}")
    slug = factory.LazyAttribute(lambda book: book.title.lower().replace(" ", "-"))
    author = factory.SubFactory(AuthorFactory)


class PageFactory(Factory[Page]):
    """Makes a page, its book and the book's author."""

    class Meta:
        model = Page

    number = factory.Sequence(lambda n: n)
    book = factory.SubFactory(BookFactory)
