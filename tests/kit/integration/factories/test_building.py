"""One call writes once, and nobody who looks for a key finds none."""

from __future__ import annotations

import factory
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from pgsandbox.factories import Factory
from tests.kit.integration.factories.models import Author, Award, Book, Loan, Review
from tests.kit.integration.factories.shelf import AuthorFactory, BookFactory, PageFactory

# --- one flush -----------------------------------------------------------------------------------


def test_a_batch_is_written_by_one_flush(in_test, flushes):
    """Objects have their keys afterwards, in the order in which they were made."""
    authors = AuthorFactory.create_batch(100)

    assert flushes == [100]
    assert [author.id for author in authors] == sorted(author.id for author in authors)
    assert len({author.id for author in authors}) == 100


def test_a_batch_of_children_is_written_with_its_parents(in_test, flushes, statements):
    """Three models, one flush, and one statement for each."""
    pages = PageFactory.create_batch(5)

    assert flushes == [15]
    assert [each.split()[:3] for each in statements if each.startswith("INSERT")] == [
        ["INSERT", "INTO", "authors"],
        ["INSERT", "INTO", "books"],
        ["INSERT", "INTO", "pages"],
    ]
    assert len({page.book.author_id for page in pages}) == 5


def test_a_batch_takes_one_parent_for_all(in_test, flushes):
    """What is passed is passed to each."""
    author = AuthorFactory()

    books = BookFactory.create_batch(3, author=author, title=factory.Sequence(str))

    assert flushes == [1, 3]
    assert {book.author_id for book in books} == {author.id}


def test_a_single_object_is_written_with_its_parents(in_test, flushes):
    """A call is a batch of one."""
    PageFactory()

    assert flushes == [3]


def test_related_objects_are_written_with_their_own(in_test, flushes):
    """A related factory needs the object, not its key."""

    class BookWithPages(BookFactory):
        pages = factory.RelatedFactoryList(PageFactory, "book", size=2)

    books = BookWithPages.create_batch(2)

    assert flushes == [8]
    assert [len(book.pages) for book in books] == [2, 2]


def test_a_parent_handed_down_to_a_child_is_not_looked_at(in_test, flushes):
    """Sharing a parent by SelfAttribute costs no flush."""

    class CoverFactory(PageFactory):
        class Meta:
            exclude = ("author",)

        author = factory.SubFactory(AuthorFactory)
        book = factory.SubFactory(BookFactory, author=factory.SelfAttribute("..author"))

    covers = CoverFactory.create_batch(2)

    assert flushes == [6]
    assert covers[0].book.author_id != covers[1].book.author_id


def test_a_parent_from_a_trait_is_written_with_its_child(in_test, flushes):
    """A trait chooses a sub-factory and looks at nothing."""

    class Novel(BookFactory):
        class Params:
            by_ursula = factory.Trait(author=factory.SubFactory(AuthorFactory, email="u@x.org"))

    novels = [Novel(by_ursula=True), Novel()]

    assert flushes == [2, 2]
    assert [novel.author.email for novel in novels] == ["u@x.org", None]


def test_a_parent_in_a_dict_is_written_with_the_rest(in_test, flushes):
    """Dict and List put together what they are given, and look at nothing."""

    class Described(BookFactory):
        class Meta:
            exclude = ("more",)

        more = factory.Dict({"editor": factory.SubFactory(AuthorFactory)})

    Described()

    assert flushes == [3]


def test_a_batch_that_fails_in_the_middle_writes_nothing_more(in_test, flushes):
    """What was made before the error is in the session, as after any error."""

    class Broken(AuthorFactory):
        email = factory.Sequence(lambda n: 1 / (1 - n))

    with pytest.raises(ZeroDivisionError):
        Broken.create_batch(2)

    assert flushes == []


@pytest.mark.parametrize("size", [0, -1])
def test_an_empty_batch_is_empty(size):
    """As it is in Factory Boy; nothing is made, so no session is needed."""
    assert AuthorFactory.create_batch(size) == []


def test_a_batch_that_the_database_refuses_raises_once(in_test):
    """The error comes from the one flush."""
    with pytest.raises(IntegrityError, match="authors_name_key"):
        AuthorFactory.create_batch(3, name="Ursula")


def test_a_batch_calls_a_create_of_the_factorys_own(in_test, flushes):
    """Such a create may do anything with its object, which therefore is complete."""
    keys = []

    class Counted(AuthorFactory):
        @classmethod
        def create(cls, **kwargs):
            author = super().create(**kwargs)
            keys.append(author.id)
            return author

    authors = Counted.create_batch(2)

    assert keys == [author.id for author in authors]
    assert flushes == [1, 1]


def test_a_number_that_is_given_counts_for_one_call(in_test):
    """__sequence is Factory Boy's way to say a number, and moves no counter."""
    names = [AuthorFactory(__sequence=42).name, AuthorFactory().name]

    assert names == ["Author 42", "Author 0"]


# --- whoever looks finds a key -------------------------------------------------------------------


def test_a_lambda_finds_the_key_of_a_parent(in_test):
    """The half-made object that a lambda gets shows written parents."""

    class LoanFactory(Factory):
        class Meta:
            model = Loan
            exclude = ("book",)

        book = factory.SubFactory(BookFactory)
        book_id = factory.LazyAttribute(lambda loan: loan.book.id)
        label = factory.LazyAttributeSequence(lambda loan, n: f"{n}: {loan.book.author.id}")

    loans = LoanFactory.create_batch(2)

    books = in_test.scalars(select(Book).order_by(Book.id)).all()
    assert [loan.book_id for loan in loans] == [book.id for book in books]
    assert [loan.label for loan in loans] == [f"{n}: {b.author_id}" for n, b in enumerate(books)]


def test_a_childs_lambda_finds_the_key_of_its_parents_parent(in_test):
    """The way up through factory_parent shows written objects as well."""

    class Chapter(BookFactory):
        title = factory.LazyAttribute(lambda book: f"of {book.factory_parent.book.id}")

    class LoanFactory(Factory):
        class Meta:
            model = Loan
            exclude = ("book", "chapter")

        book = factory.SubFactory(BookFactory)
        chapter = factory.SubFactory(Chapter)
        book_id = factory.SelfAttribute("chapter.id")
        label = factory.SelfAttribute("chapter.title")

    loan = LoanFactory()

    assert loan.label == f"of {in_test.scalars(select(Book.id).order_by(Book.id)).first()}"


def test_a_transformer_finds_a_key(in_test):
    """Its function gets the object itself."""

    class LoanFactory(Factory):
        class Meta:
            model = Loan

        book_id = factory.Transformer(
            factory.SubFactory(BookFactory), transform=lambda book: book.id
        )

    assert LoanFactory().book_id == in_test.scalar(select(Book.id))


def test_a_list_shows_written_objects(in_test):
    """Objects inside a list are looked at like any other."""

    class LoanFactory(Factory):
        class Meta:
            model = Loan
            exclude = ("books",)

        books = factory.List([factory.SubFactory(BookFactory), factory.SubFactory(BookFactory)])
        book_id = factory.LazyAttribute(lambda loan: loan.books[1].id)

    assert LoanFactory().book_id == in_test.scalars(select(Book.id).order_by(Book.id)).all()[1]


def test_adjusted_arguments_have_keys(in_test):
    """A factory may turn its arguments into others."""

    class LoanFactory(Factory):
        class Meta:
            model = Loan

        book = factory.SubFactory(BookFactory)

        @classmethod
        def _adjust_kwargs(cls, **kwargs):
            return {"book_id": kwargs.pop("book").id, **kwargs}

    assert LoanFactory().book_id == in_test.scalar(select(Book.id))


def test_a_create_of_the_factorys_own_gets_written_arguments(in_test):
    """It may do with them what it likes."""

    class LoanFactory(Factory):
        class Meta:
            model = Loan

        book = factory.SubFactory(BookFactory)

        @classmethod
        def _create(cls, model_class, *args, **kwargs):
            return super()._create(model_class, book_id=kwargs["book"].id)

    assert LoanFactory().book_id == in_test.scalar(select(Book.id))


def test_a_constructor_of_the_models_own_gets_written_arguments(in_test):
    """The model may read what it is made of."""

    class ReviewFactory(Factory):
        class Meta:
            model = Review

        book = factory.SubFactory(BookFactory)

    assert ReviewFactory().text == f"of book {in_test.scalar(select(Book.id))}"


def test_a_validator_gets_written_objects(in_test):
    """A model may look at what it is assigned."""

    class AwardFactory(Factory):
        class Meta:
            model = Award

        book = factory.SubFactory(BookFactory)

    assert AwardFactory().text == f"for book {in_test.scalar(select(Book.id))}"


def test_an_object_that_a_lambda_makes_is_written(in_test):
    """A call inside a call ends before its result is used."""

    class LoanFactory(Factory):
        class Meta:
            model = Loan

        book_id = factory.LazyFunction(lambda: BookFactory().id)

    loans = LoanFactory.create_batch(2)

    assert [loan.book_id for loan in loans] == in_test.scalars(
        select(Book.id).order_by(Book.id)
    ).all()


def test_a_call_inside_a_call_finds_what_came_before_it_written(in_test):
    """The lambdas of the inner call may ask for what the outer one has made."""

    class Numbered(AuthorFactory):
        name = factory.LazyFunction(
            lambda: f"after {in_test.connection().scalar(text('select count(*) from authors'))}"
        )

    class Dedicated(Factory):
        class Meta:
            model = Book

        author = factory.SubFactory(AuthorFactory)
        title = factory.LazyFunction(lambda: Numbered().name)

    assert Dedicated().title == "after 1"


# --- hooks ---------------------------------------------------------------------------------------


def test_a_hook_finds_its_object_and_its_related_objects_written(in_test):
    """A hook of one's own may talk to the database in SQL."""
    seen = []

    class BookWithPages(BookFactory):
        pages = factory.RelatedFactory(PageFactory, "book")

        @factory.post_generation
        def loan(self, create, extracted, **kwargs):
            seen.append((self.id, self.pages[0].id, create, extracted, kwargs))
            in_test.execute(insert(Loan).values(book_id=self.id))

    books = BookWithPages.create_batch(2, loan="it", loan__days=3)

    assert [(book.id, book.pages[0].id, True, "it", {"days": 3}) for book in books] == seen
    assert in_test.scalars(select(Loan.book_id)).all() == [book.id for book in books]


def test_hooks_of_one_object_run_before_the_next_is_made(in_test):
    """The order is Factory Boy's own: a batch is nothing but repetition."""
    order = []

    class Told(AuthorFactory):
        name = factory.Sequence(lambda n: order.append(f"make {n}") or f"Author {n}")

        @factory.post_generation
        def tell(self, create, extracted):
            order.append(f"hook {self.name}")

    Told.create_batch(2)

    assert order == ["make 0", "hook Author 0", "make 1", "hook Author 1"]


def test_what_a_hook_changes_is_written(in_test):
    """When the call returns, the database has it."""

    class Reachable(AuthorFactory):
        @factory.post_generation
        def mail(self, create, extracted):
            self.email = f"{self.id}@example.org"

    authors = Reachable.create_batch(2)

    assert not in_test.dirty
    assert in_test.scalars(select(Author.email).order_by(Author.id)).all() == [
        f"{author.id}@example.org" for author in authors
    ]


def test_a_method_call_after_generation_finds_a_written_object(in_test):
    """PostGenerationMethodCall runs code of the model."""

    class Shouting(Author):
        def shout(self, word):
            self.email = f"{word} {self.id}"

    class ShoutingFactory(AuthorFactory):
        class Meta:
            model = Shouting

        shout = factory.PostGenerationMethodCall("shout", "hey")

    author = ShoutingFactory()

    assert author.email == f"hey {author.id}"


def test_the_last_hook_of_all_gets_results_and_a_written_object(in_test):
    """_after_postgeneration sees what the related factories made."""
    seen = []

    class BookWithPage(BookFactory):
        page = factory.RelatedFactory(PageFactory, "book")

        @classmethod
        def _after_postgeneration(cls, instance, create, results=None):
            seen.append((instance.id, results["page"].id, create))

    book = BookWithPage()

    assert seen == [(book.id, book.pages[0].id, True)]


def test_a_trait_can_switch_a_hook_on(in_test):
    """A hook that a trait brings finds its object written."""
    seen = []

    class Novel(BookFactory):
        class Params:
            told = factory.Trait(tell=factory.PostGeneration(lambda o, *_: seen.append(o.id)))

    Novel()
    novel = Novel(told=True)

    assert seen == [novel.id]


def test_a_trait_can_bring_related_objects(in_test, flushes):
    """A related factory that a trait brings costs no flush."""

    class Novel(BookFactory):
        class Params:
            paged = factory.Trait(page=factory.RelatedFactory(PageFactory, "book"))

    novels = [Novel(), Novel(paged=True)]

    assert flushes == [2, 3]
    assert [len(novel.pages) for novel in novels] == [0, 1]


def test_a_hook_may_make_its_object_vanish(in_test):
    """There is nothing of it to write any more."""

    class Vanishing(AuthorFactory):
        @factory.post_generation
        def vanish(self, create, extracted):
            in_test.expunge(self)

    assert Vanishing() not in in_test


def test_a_batch_with_commits_commits(in_test):
    """Hooks find their object committed, and what they change is committed, too."""

    class Committed(AuthorFactory):
        class Meta:
            sqlalchemy_session_persistence = "commit"

        @factory.post_generation
        def lose_changes_since_commit(self, create, extracted):
            in_test.rollback()
            self.email = f"{self.name}@example.org"

    Committed.create_batch(2, name=factory.Sequence(str))
    in_test.rollback()

    assert in_test.scalars(select(Author.email).order_by(Author.id)).all() == [
        "0@example.org",
        "1@example.org",
    ]
