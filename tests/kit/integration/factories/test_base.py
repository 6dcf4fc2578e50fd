"""Factories find the session of the test, and use another one for exactly one call."""

from __future__ import annotations

import asyncio
import threading

import factory
import pytest
from factory.alchemy import SQLAlchemyModelFactory
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import object_session, scoped_session, sessionmaker

from pgsandbox import factories
from pgsandbox.errors import FactoryError, NoSession
from pgsandbox.factories import Factory
from tests.kit.integration.factories.models import Author, Base, Book, Loan, Page, Sticker
from tests.kit.integration.factories.shelf import AuthorFactory, BookFactory, PageFactory

# --- the session ---------------------------------------------------------------------------------


def test_an_object_is_written_into_the_session_of_the_test(in_test):
    """The row is there when the factory returns, with its key, for SQL as well."""
    author = AuthorFactory(name="Ursula")

    assert object_session(author) is in_test
    assert in_test.execute(text("select id from authors where name = 'Ursula'")).all() == [
        (author.id,)
    ]


def test_parents_are_made_and_written_with_their_child(in_test):
    """A sub-factory's objects go where the factory's object goes."""
    page = PageFactory(book__author__name="Ursula")

    in_test.expunge_all()
    reread = in_test.get(Page, page.id)
    assert reread.book.author.name == "Ursula"
    assert reread.book.slug == "book-0"


def test_the_session_is_found_at_each_call(in_test, other_session):
    """A new test has a new session, and no factory remembers the old one."""
    before = AuthorFactory()

    factories.use_session_source(lambda: other_session)
    after = AuthorFactory()

    assert object_session(before) is in_test
    assert object_session(after) is other_session


def test_outside_a_test_nothing_is_made(in_test):
    """When the test is over its session is out of reach, also for sub-factories."""
    factories.use_session_source(None)

    with pytest.raises(NoSession, match=r"^PageFactory was called where no test has a session"):
        PageFactory()
    factories.use_session_source(lambda: in_test)
    assert PageFactory().number == 0


def test_a_source_may_find_that_there_is_no_session(in_test):
    """A source that returns None is as good as none."""
    factories.use_session_source(lambda: None)

    with pytest.raises(NoSession):
        AuthorFactory()


# --- _session= -----------------------------------------------------------------------------------


def test_session_of_one_call_reaches_everything_it_makes(in_test, other_session):
    """Sub-factories and related factories of the call follow it."""

    class BookWithPages(BookFactory):
        pages = factory.RelatedFactoryList(PageFactory, "book", size=2)

    book = BookWithPages(_session=other_session)

    made = [book, book.author, *book.pages]
    assert len(made) == 4
    assert {object_session(each) for each in made} == {other_session}
    assert not in_test.new
    assert not in_test.identity_map.values()


def test_session_of_one_call_reaches_calls_inside_it(in_test, other_session):
    """A hook or a lambda that calls a factory itself gets the session of the outer call."""

    class BookByLambda(BookFactory):
        author = factory.LazyFunction(AuthorFactory)

        @factory.post_generation
        def page(self, create, extracted):
            PageFactory(book=self)

    book = BookByLambda(_session=other_session)

    assert object_session(book.author) is other_session
    assert object_session(book.pages[0]) is other_session


def test_session_of_one_call_leaks_into_no_other(in_test, other_session):
    """The next call of the factory, of its sub-factory and of its subclasses find the test's."""

    class Novel(BookFactory):
        pass

    Novel(_session=other_session)
    BookFactory.create_batch(2, _session=other_session)

    assert object_session(AuthorFactory()) is in_test
    assert object_session(BookFactory()) is in_test
    assert object_session(Novel()) is in_test
    assert BookFactory._meta.sqlalchemy_session is None


def test_session_of_one_call_does_not_outlive_an_error(in_test, other_session):
    """A call that fails in the middle takes its session with it."""

    class Broken(BookFactory):
        @factory.post_generation
        def fail(self, create, extracted):
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        Broken.create_batch(2, _session=other_session)

    assert object_session(AuthorFactory()) is in_test


def test_session_of_one_call_stays_in_its_thread(in_test, other_session):
    """Another thread that makes something during the call finds the test's session."""
    made = []

    class Threaded(AuthorFactory):
        @factory.post_generation
        def elsewhere(self, create, extracted):
            thread = threading.Thread(target=lambda: made.append(AuthorFactory()))
            thread.start()
            thread.join()

    author = Threaded(_session=other_session)

    assert object_session(author) is other_session
    assert object_session(made[0]) is in_test


def test_no_session_for_one_call_is_the_session_of_the_test(in_test):
    """A function that passes on its optional argument needs no branch."""
    assert object_session(AuthorFactory(_session=None)) is in_test


def test_a_call_with_a_session_needs_no_test(session):
    """Loading demonstration data, say, happens outside of tests."""
    author = AuthorFactory(_session=session)

    assert object_session(author) is session


def test_a_trait_and_a_batch_take_a_session(in_test, other_session):
    """However the call is written, it has one session."""

    class Series(BookFactory):
        class Params:
            by_ursula = factory.Trait(
                author=factory.SubFactory(AuthorFactory, name="Ursula"),
            )

    one = Series(by_ursula=True, _session=other_session)
    two = AuthorFactory.create_batch(2, _session=other_session)
    three = AuthorFactory.generate("create", _session=other_session)

    assert one.author.name == "Ursula"
    assert {object_session(each) for each in [one, one.author, *two, three]} == {other_session}


@pytest.mark.parametrize("wrap", [scoped_session, lambda make: make()])
def test_every_kind_of_session_will_do(in_test, session, wrap):
    """A scoped session is as good as a plain one."""
    author = AuthorFactory(_session=wrap(lambda: session))

    assert author.id is not None


def test_a_sessionmaker_is_no_session(in_test):
    """The message says what to give instead."""
    with pytest.raises(FactoryError, match="was given a sessionmaker"):
        AuthorFactory(_session=sessionmaker())


def test_an_async_session_is_refused(in_test):
    """Neither as the session of the call nor as that of the test."""
    with pytest.raises(FactoryError, match="run_sync"):
        AuthorFactory(_session=AsyncSession())
    factories.use_session_source(AsyncSession)
    with pytest.raises(FactoryError, match="run_sync"):
        AuthorFactory()


def test_inside_run_sync_an_async_session_can_be_filled(in_test, other_session):
    """The remedy that the refusal names works."""
    async_session = AsyncSession(sync_session_class=lambda **_: other_session)

    author = asyncio.run(async_session.run_sync(lambda sync: AuthorFactory(_session=sync)))

    assert object_session(author) is other_session
    assert author.id is not None


# --- a session on the class ----------------------------------------------------------------------


def test_a_session_factory_of_the_meta_is_honoured(in_test, other_session):
    """A model that lives in another database has a session of its own."""

    class Elsewhere(AuthorFactory):
        class Meta:
            sqlalchemy_session_factory = lambda: other_session  # noqa: E731

    class Further(Elsewhere):
        pass

    assert object_session(Elsewhere()) is other_session
    assert object_session(Further.create_batch(1)[0]) is other_session
    assert object_session(AuthorFactory()) is in_test
    assert Elsewhere._meta.sqlalchemy_session is None


def test_the_session_of_a_call_beats_that_of_the_meta(in_test, other_session):
    """What is said at the call is closest."""

    class Elsewhere(AuthorFactory):
        class Meta:
            sqlalchemy_session_factory = lambda: other_session  # noqa: E731

    assert object_session(Elsewhere(_session=in_test)) is in_test


def test_a_session_that_is_set_later_is_refused(in_test):
    """The old recipe of setting it in conftest.py is named when the factory is used."""

    class Configured(AuthorFactory):
        pass

    Configured._meta.sqlalchemy_session = in_test

    with pytest.raises(FactoryError, match="Configured has a session in its Meta"):
        Configured()


# --- persistence ---------------------------------------------------------------------------------


def test_commit_is_honoured(in_test):
    """What the factory made is committed, and a rollback afterwards leaves it."""

    class Committed(AuthorFactory):
        class Meta:
            sqlalchemy_session_persistence = "commit"

    Committed(name="Ursula")
    in_test.rollback()

    assert in_test.scalar(select(Author.name)) == "Ursula"


def test_no_persistence_is_honoured(in_test, flushes):
    """The object waits in the session; its parents, whose factories write, are written."""

    class Waiting(BookFactory):
        class Meta:
            sqlalchemy_session_persistence = None

    book = Waiting()

    assert book in in_test.new
    assert flushes == [1]
    assert book.author.id is not None


# --- kinds of models and factories ---------------------------------------------------------------


def test_build_and_stub_do_not_touch_the_session(in_test):
    """They make objects of which no session knows, with their parents."""
    book = BookFactory.build()
    stub = BookFactory.stub()

    assert (book.id, object_session(book), object_session(book.author)) == (None, None, None)
    assert stub.author.name == "Author 1"
    assert not in_test.new


def test_a_dataclass_is_made_by_its_own_constructor(in_test, flushes):
    """Its constructor sets attributes and reads none, so all is written at once."""

    class StickerFactory(Factory):
        class Meta:
            model = Sticker

        book = factory.SubFactory(BookFactory)

    stickers = StickerFactory.create_batch(2, text="new")

    assert [each.text for each in stickers] == ["new", "new"]
    assert stickers[0].book_id != stickers[1].book_id
    assert flushes == [6]


def test_models_of_flask_sqlalchemy_need_nothing_special(pg):
    """Its scoped session is found like any other, and the kit pushes no application context."""
    db = SQLAlchemy()

    class Item(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String, nullable=False)

    class ItemFactory(Factory):
        class Meta:
            model = Item

        name = factory.Sequence(lambda n: f"item {n}")

    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = pg.url
    db.init_app(app)
    factories.use_session_source(lambda: db.session)

    with app.app_context():
        db.session.execute(text("create temporary table item (id serial, name text)"))
        items = ItemFactory.create_batch(2)
        names = db.session.scalars(select(Item.name)).all()
        db.session.rollback()
        db.engine.dispose()
    factories.use_session_source(None)

    assert [item.id for item in items] == [1, 2]
    assert names == [item.name for item in items]


class Label:
    """A plain object that looks at what it is made of."""

    def __init__(self, book):
        self.text = f"{book.id} by {book.author.id}"


class LabelFactory(factory.Factory):
    """A factory that has nothing to do with the kit."""

    class Meta:
        model = Label

    book = factory.SubFactory(BookFactory)


def test_a_plain_factory_above_ours_gets_written_objects(in_test):
    """It takes our factories' objects complete."""
    label = LabelFactory()

    author_id, book_id = in_test.execute(select(Book.author_id, Book.id)).one()
    assert label.text == f"{book_id} by {author_id}"


def test_a_plain_factory_between_ours_gets_written_objects(in_test):
    """Wherever it stands."""

    class Labelled(AuthorFactory):
        class Meta:
            exclude = ("label",)

        label = factory.SubFactory(LabelFactory)
        name = factory.SelfAttribute("label.text")

    author = Labelled()

    author_id, book_id = in_test.execute(select(Book.author_id, Book.id)).one()
    assert author.name == f"{book_id} by {author_id}"


def test_a_plain_factory_below_ours_writes_as_it_always_did(in_test):
    """Projects move to the kit factory by factory."""

    class PlainBook(SQLAlchemyModelFactory):
        class Meta:
            model = Book
            sqlalchemy_session = in_test
            sqlalchemy_session_persistence = "flush"

        title = "Plain"
        author = factory.SubFactory(AuthorFactory)

    class OurPage(PageFactory):
        book = factory.SubFactory(PlainBook)

    page = OurPage()

    assert page.book.author.id is not None
    assert page.book_id == page.book.id


def test_an_error_of_the_database_arrives_as_it_is(in_test):
    """SQLAlchemy's own exception says it best."""
    AuthorFactory(name="Ursula")

    with pytest.raises(IntegrityError, match="authors_name_key"):
        AuthorFactory(name="Ursula")


def test_an_abstract_factory_makes_nothing(in_test):
    """Factory Boy's own error says so, for one object and for several."""
    with pytest.raises(factory.errors.FactoryError, match="abstract"):
        Factory()
    with pytest.raises(factory.errors.FactoryError, match="abstract"):
        Factory.create_batch(2)


def test_a_model_without_relationships_gets_keys(in_test):
    """A column that is fed from a sub-object's key has its value."""

    class LoanFactory(Factory):
        class Meta:
            model = Loan
            exclude = ("book",)

        book = factory.SubFactory(BookFactory)
        book_id = factory.SelfAttribute("book.id")

    loans = LoanFactory.create_batch(2)

    assert [loan.book_id for loan in loans] == in_test.scalars(
        select(Book.id).order_by(Book.id)
    ).all()


def test_tables_of_the_models_are_empty_again(in_test):
    """The tests of this file leave nothing to each other."""
    counts = [
        in_test.scalar(select(func.count()).select_from(each))
        for each in Base.metadata.sorted_tables
    ]

    assert set(counts) == {0}
