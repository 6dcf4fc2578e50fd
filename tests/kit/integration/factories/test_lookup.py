"""A factory with a key finds rows or makes them, and nobody's rows are lost by that."""

from __future__ import annotations

import factory
import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import object_session

from pgsandbox.errors import FactoryError
from pgsandbox.factories import Factory
from tests.kit.integration.factories.models import Author, Book
from tests.kit.integration.factories.shelf import AuthorFactory, BookFactory


class AuthorByName(Factory[Author]):
    """Finds an author by name, or makes one."""

    class Meta:
        model = Author
        sqlalchemy_get_or_create = ("name",)

    name = factory.Sequence(lambda n: f"Author {n}")


class BookByTitle(BookFactory):
    """Finds a book by author and title, or makes one."""

    class Meta:
        model = Book
        sqlalchemy_get_or_create = ("author", "title")

    author = factory.SubFactory(AuthorByName, name="Ursula")


@pytest.fixture
def insert_meanwhile(in_test):
    """Let another writer be faster: a row comes between the look and the attempt."""

    def insert_meanwhile(**values):
        def before_savepoint(connection, _):
            connection.execute(insert(Author).values(**values))

        event.listen(in_test.connection(), "savepoint", before_savepoint, once=True)

    return insert_meanwhile


def test_a_row_that_is_not_there_is_made(in_test):
    """It is written and has its key."""
    author = AuthorByName(name="Ursula")

    assert in_test.scalars(select(Author.id)).all() == [author.id]


def test_a_row_that_is_there_is_found(in_test):
    """The object is the same; other values are not written over it."""
    first = AuthorByName(name="Ursula", email="u@example.org")

    second = AuthorByName(name="Ursula", email="other@example.org")

    assert second is first
    assert second.email == "u@example.org"


def test_the_key_may_hold_other_objects(in_test):
    """A relationship is as good a key as a column."""
    first = BookByTitle(title="The Dispossessed")
    second = BookByTitle(title="The Dispossessed")
    third = BookByTitle(title="The Lathe of Heaven")

    assert second is first
    assert third.author is first.author
    assert third is not first


def test_a_session_of_one_call_is_looked_up_in(in_test, other_session):
    """What is found belongs to that session."""
    author = AuthorByName(name="Ursula", _session=other_session)
    found = AuthorByName(name="Ursula", _session=other_session)

    assert found is author
    assert author not in in_test


def test_a_batch_looks_once_for_each_key(in_test, flushes, statements):
    """A parent that all objects share is one look, one savepoint and no flush for each."""
    books = BookFactory.create_batch(10, author=factory.SubFactory(AuthorByName, name="Ursula"))

    assert flushes == [1, 10]
    assert len([each for each in statements if each.startswith("SELECT")]) == 1
    assert {book.author for book in books} == {books[0].author}


def test_a_conflict_leaves_what_the_test_wrote(in_test, insert_meanwhile):
    """Only the attempt is undone; the faster row is returned."""
    earlier = AuthorByName(name="Earlier")
    unwritten = Author(name="Unwritten")
    in_test.add(unwritten)
    insert_meanwhile(name="Ursula", email="faster@example.org")

    author = AuthorByName(name="Ursula", email="slower@example.org")

    assert author.email == "faster@example.org"
    assert object_session(earlier) is in_test
    assert in_test.scalars(select(Author.name).order_by(Author.name)).all() == [
        "Earlier",
        "Unwritten",
        "Ursula",
    ]


def test_a_conflict_over_values_of_the_factory_finds_the_faster_row(in_test, insert_meanwhile):
    """The caller passed no part of the key."""
    insert_meanwhile(name="Author 0", email="faster@example.org")

    assert AuthorByName().email == "faster@example.org"


def test_a_session_without_autoflush_looks_up_all_the_same(in_test):
    """A key may hold an object that this very call has made."""

    class BookOfNewAuthor(BookByTitle):
        author = factory.SubFactory(AuthorFactory)

    with in_test.no_autoflush:
        book = BookOfNewAuthor()

    assert book.author_id == book.author.id


def test_an_object_that_was_refused_is_forgotten(in_test):
    """It does not wait in its parent's collection to be written once more."""
    author = AuthorByName(name="Ursula")
    taken = BookByTitle(title="Taken", slug="of old", author=author)
    assert author.books == [taken]

    class ByTitle(BookFactory):
        class Meta:
            model = Book
            sqlalchemy_get_or_create = ("title", "slug")

    found = ByTitle(title="Taken", author=author)

    in_test.flush()
    assert found is taken
    assert author.books == [taken]


def test_a_key_that_was_half_passed_finds_the_row_by_that_half(in_test):
    """The declarations made up the other half, so the row need not have it."""

    class AuthorByBoth(AuthorByName):
        class Meta:
            sqlalchemy_get_or_create = ("name", "email")

        email = factory.Sequence(lambda n: f"{n}@example.org")

    first = AuthorByBoth(name="Ursula")
    second = AuthorByBoth(name="Ursula")

    assert second is first


def test_a_refusal_for_another_reason_says_so(in_test):
    """The row with the key can't be returned, for there is none."""
    AuthorByName(name="Ursula", email="u@example.org")

    with pytest.raises(FactoryError) as refused:
        AuthorByName(name="Octavia", email="u@example.org")

    assert "The database refused the Author of AuthorByName" in str(refused.value)
    assert "'Octavia'" in str(refused.value)
    assert "authors_email_key" in str(refused.value)
    assert isinstance(refused.value.__cause__, IntegrityError)
    assert in_test.scalars(select(Author.name)).all() == ["Ursula"]


@pytest.mark.parametrize("autoflush", [True, False])
def test_a_conflict_of_earlier_rows_is_not_taken_for_ones_own(in_test, autoflush):
    """What the test left unwritten is written before the attempt, and fails by itself."""
    in_test.autoflush = autoflush
    in_test.add_all([Author(name="Twice"), Author(name="Twice")])

    with pytest.raises(IntegrityError, match="Twice"):
        AuthorByName(name="Ursula")


def test_a_key_of_several_rows_is_refused(in_test):
    """Any of them would be a guess."""
    BookFactory.create_batch(2, title="Same")

    class ByTitle(BookFactory):
        class Meta:
            sqlalchemy_get_or_create = ("title",)

    with pytest.raises(FactoryError, match="ByTitle found more than one Book with its key"):
        ByTitle(title="Same")


def test_a_key_without_a_value_is_refused(in_test):
    """The message names the field."""

    class AuthorByEmail(AuthorByName):
        class Meta:
            sqlalchemy_get_or_create = ("email",)

    with pytest.raises(FactoryError, match="AuthorByEmail has no value for email"):
        AuthorByEmail()


def test_a_key_that_cannot_be_remembered_is_looked_up_each_time(in_test):
    """A list has no hash; the row is found all the same."""

    class Label(str):
        __slots__ = ()
        __hash__ = None

    made = AuthorByName.create_batch(2, name=factory.LazyFunction(lambda: Label("Ursula")))

    assert made[0] is made[1]


def test_hooks_may_take_away_what_was_found(in_test):
    """After code of one's own has run, a key is looked up anew."""

    class Vanishing(AuthorByName):
        @factory.post_generation
        def vanish(self, create, extracted):
            in_test.delete(self)
            in_test.flush()

    first, second = Vanishing.create_batch(2, name="Ursula")

    assert first is not second


def test_without_persistence_nothing_is_attempted(in_test, flushes):
    """The object waits in the session like that of any factory."""

    class Waiting(AuthorByName):
        class Meta:
            sqlalchemy_session_persistence = None

    author = Waiting(name="Ursula")

    assert author in in_test.new
    assert flushes == []


def test_with_commit_the_row_is_committed(in_test):
    """A row that was made outlives a rollback."""

    class Committed(AuthorByName):
        class Meta:
            sqlalchemy_session_persistence = "commit"

    Committed(name="Ursula")
    in_test.rollback()

    assert in_test.scalars(select(Author.name)).all() == ["Ursula"]
