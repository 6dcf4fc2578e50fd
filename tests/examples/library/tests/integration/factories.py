"""A factory for each table that tests write to."""

import factory
from library.models import Author, Book, Loan

from pgsandbox.factories import Factory


class AuthorFactory(Factory):
    """Somebody who writes."""

    class Meta:
        model = Author

    name = factory.Sequence(lambda n: f"Author {n}")


class BookFactory(Factory):
    """A book with an author; its place is nobody else's."""

    class Meta:
        model = Book

    title = factory.Sequence(lambda n: f"Book {n}")
    place = factory.Sequence(lambda n: n)
    author = factory.SubFactory(AuthorFactory)


class LoanFactory(Factory):
    """A book that is out."""

    class Meta:
        model = Loan

    book = factory.SubFactory(BookFactory)
    borrower = "Ada"
