"""The query per row: what is reported of it, and what is none."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Project

_FILES = {
    "models.py": """
        from __future__ import annotations
        from sqlalchemy import ForeignKey
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

        class Base(DeclarativeBase):
            pass

        class Author(Base):
            __tablename__ = "authors"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str]
            books: Mapped[list[Book]] = relationship(back_populates="author")

        class Book(Base):
            __tablename__ = "books"
            id: Mapped[int] = mapped_column(primary_key=True)
            author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
            author: Mapped[Author] = relationship(back_populates="books")
    """,
    "application.py": """
        from models import Author, Book
        from sqlalchemy import select
        from sqlalchemy.orm import selectinload

        def lazily(session):
            return [book.author.name for book in session.scalars(select(Book))]

        def collections(session):
            return [len(author.books) for author in session.scalars(select(Author))]

        def eagerly(session):
            every = select(Author).options(selectinload(Author.books))
            return [len(author.books) for author in session.scalars(every)]

        def by_itself(session, ids):
            return [session.scalar(select(Book.id).where(Book.id == each)) for each in ids]

        def expired(session):
            every = session.scalars(select(Author)).all()
            session.commit()
            return [author.name for author in every]

        def count(session):
            return len(session.scalars(select(Author.id)).all())
    """,
    "tests/integration/conftest.py": """
        import pytest
        from models import Author, Book
        from sqlalchemy.orm import Session

        @pytest.fixture
        def session(db_session, db_engine):
            for name in "abc":
                db_session.add(Author(name=name, books=[Book()]))
            db_session.commit()
            with Session(db_engine) as session:
                yield session
    """,
    "tests/integration/test_rows.py": """
        import application
        import pytest
        from models import Author
        from sqlalchemy import select
        from sqlalchemy.orm import Session

        def test_lazily(session):
            application.lazily(session)

        def test_collections(session):
            application.collections(session)

        def test_by_itself(session):
            application.by_itself(session, [1, 2, 3])

        def test_expired(session):
            application.expired(session)

        def test_eagerly(session):
            application.eagerly(session)

        def test_pages(session, db_engine):
            for _ in range(5):
                with Session(db_engine) as page:
                    application.count(page)

        def test_asserting(session):
            for name in "abc":
                session.scalar(select(Author.id).where(Author.name == name))

        @pytest.mark.pgsandbox(repeated_queries="off")
        def test_means_it(session):
            application.lazily(session)

        @pytest.mark.pgsandbox(isolation="clone")
        def test_clone(session):
            application.lazily(session)
    """,
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """An application that asks row by row in several ways, and in several ways does not."""
    return make_project(_FILES)


def test_each_is_named_with_its_line_and_its_remedy(project: Project) -> None:
    """Once for each line, whatever the number of tests; the tests pass."""
    outcome = project.run("--pg-repeated-queries=3")
    start = "pgsandbox: a query per row: 3 times in one transaction at application.py:"
    said = [line for line in outcome.out.splitlines() if "a query per row" in line]

    assert outcome.counts == {"passed": 9}
    assert [line.removeprefix(start).split(" (tests")[0] for line in said] == [
        "6, lazy load of Book.author, .options(joinedload(Book.author))",
        "9, lazy load of Author.books, .options(selectinload(Author.books))",
        "16",
        "21",
    ]
    assert "test_lazily and 1 other test)" in said[0] or "test_clone and 1 other" in said[0]


def test_they_fail_where_the_setting_says_so(project: Project) -> None:
    """With the values that differ, and the reason that SQLAlchemy had."""
    outcome = project.run("--pg-repeated-queries=fail 3", "--tb=short")
    failed = {f"test_{name}" for name in ("lazily", "collections", "by_itself", "expired", "clone")}

    assert outcome.counts == {"failed": 5, "passed": 4}
    assert all(f"{name} _" in outcome.out for name in failed)
    lazily = outcome.section("test_lazily")
    assert "application.py:6 sent the same statement 3 times in one transaction." in lazily
    assert "lazy load of        Book.author" in lazily
    assert "pk_1 was" in lazily
    assert ".options(joinedload(Book.author))" in lazily
    assert "with IN and a list" in outcome.section("test_by_itself")
    assert "expire_on_commit=False" in outcome.section("test_expired")


def test_fewer_are_none(project: Project) -> None:
    """The number is the number from which it is reported."""
    outcome = project.run("--pg-repeated-queries=4")

    assert outcome.counts == {"passed": 9}
    assert "a query per row" not in outcome.out


def test_workers_tell_the_controller(project: Project) -> None:
    """The summary is one."""
    outcome = project.run("--pg-repeated-queries=3", "-p", "xdist", "-n", "2")
    said = [line for line in outcome.out.splitlines() if "a query per row" in line]

    assert outcome.counts == {"passed": 9}
    assert len(said) == 4


def test_nothing_is_said_by_default(project: Project) -> None:
    """Nobody asked."""
    outcome = project.run()

    assert outcome.counts == {"passed": 9}
    assert "a query per row" not in outcome.out
