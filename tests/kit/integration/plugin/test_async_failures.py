"""What a failing asynchronous test is told, once, and what goes on in spite of a failed task."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET, Outcome
from tests.kit.nightly import by_night

_FILES = {
    "application.py": f"""
        import os
        from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

        URL = f"postgresql+{{os.environ['SHOP_DRIVER']}}://dev:{SECRET}@127.0.0.1:1/<name>"

        engine = create_async_engine(URL)
        Session = async_sessionmaker(engine)
    """,
    "models.py": """
        from sqlalchemy import ForeignKey
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

        class Base(DeclarativeBase):
            pass

        class Item(Base):
            __tablename__ = "items"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str] = mapped_column(unique=True)
            parts: Mapped[list["Part"]] = relationship()

        class Part(Base):
            __tablename__ = "parts"
            id: Mapped[int] = mapped_column(primary_key=True)
            item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    """,
    "tests/integration/test_failures.py": """
        import asyncio

        import pytest
        import pytest_asyncio
        from application import Session, engine
        from models import Item
        from sqlalchemy import select, text
        from sqlalchemy.exc import IntegrityError
        from sqlalchemy.orm import Session as BlockingSession

        pytestmark = pytest.mark.asyncio

        async def test_two_tasks_share_a_session(async_db_session):
            async_db_session.add(Item(name="tea"))
            await asyncio.gather(async_db_session.flush(), async_db_session.flush())

        async def test_interleaved(pg):
            async with Session() as one, Session() as other:
                one.add(Item(name="tea"))
                await one.flush()
                other.add(Item(name="milk"))
                await other.flush()
                await one.rollback()
                await other.commit()

        async def in_turn(name, have_looked):
            async with Session() as session:
                if await session.scalar(select(Item.id).where(Item.name == name)):
                    return "found"
                await have_looked.wait()
                session.add(Item(name=name))
                try:
                    await session.commit()
                except IntegrityError:
                    await session.rollback()
                    return "taken"
                return "made"

        async def test_one_of_two_tasks_is_refused(pg):
            have_looked = asyncio.Barrier(2)
            said = await asyncio.gather(*(in_turn("tea", have_looked) for _ in range(2)))
            assert sorted(said) == ["made", "taken"]
            async with Session() as session:
                assert (await session.scalars(select(Item.name))).all() == ["tea"]

        async def test_one_fails_after_the_other_wrote(pg):
            async with Session() as one, Session() as other:
                await one.execute(text("select 1"))
                other.add(Item(name="tea"))
                await other.flush()
                one.add(Item(name="tea"))
                with pytest.raises(IntegrityError):
                    await one.flush()
                await one.rollback()
                await other.commit()
            async with Session() as session:
                assert (await session.scalars(select(Item.name))).all() == ["tea"]

        held = []

        async def mail():
            async with Session() as session:
                await session.scalar(select(Item))
                await asyncio.Event().wait()

        @pytest_asyncio.fixture
        async def server():
            task = asyncio.create_task(asyncio.Event().wait())
            yield
            task.cancel()

        async def test_passes_and_leaves_a_task(async_db_session):
            await async_db_session.scalar(select(Item))
            held.append(asyncio.create_task(mail(), name="mail to Ada"))
            await asyncio.sleep(0)

        async def test_fails_and_leaves_a_task(async_db_session):
            await async_db_session.scalar(select(Item))
            held.append(asyncio.create_task(mail(), name="mail to Grace"))
            await asyncio.sleep(0)
            raise AssertionError

        async def test_leaves_what_was_there(server, async_db_session):
            await async_db_session.scalar(select(Item))

        async def one_item():
            async with Session.begin() as session:
                session.add(item := Item(name="tea"))
            return item

        async def test_reads_a_relationship(pg):
            made = await one_item()
            async with Session() as session:
                item = await session.scalar(select(Item))
                print(item.parts)

        async def test_reads_what_expired(pg):
            await one_item()
            async with Session() as session:
                item = await session.scalar(select(Item))
                await session.commit()
                print(item.name)

        async def test_uses_a_blocking_session(pg):
            with BlockingSession(engine.sync_engine) as session:
                session.scalar(select(Item))
    """,
}


@pytest.fixture(scope="module", params=["asyncpg", *by_night("psycopg")])
def driver(request: pytest.FixtureRequest) -> str:
    """What the application awaits."""
    return str(request.param)


@pytest.fixture(scope="module", params=["function", "session"])
def outcome(request: pytest.FixtureRequest, make_project: MakeProject, driver: str) -> Outcome:
    """What the tests said, each on a loop of its own, or all on one."""
    scope = request.param
    project = make_project(
        _FILES,
        'url = "application:URL"\nredirect = true',
        f'asyncio_default_fixture_loop_scope = "{scope}"\n'
        f'asyncio_default_test_loop_scope = "{scope}"',
    )
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "no:randomly")
    return project.run(*plugins, "-rA", SHOP_DRIVER=driver)


def test_every_failure_is_told_once(outcome: Outcome) -> None:
    """No test that failed has an error in its teardown as well."""
    assert (outcome.counts["failed"], outcome.counts.get("errors", 0)) == (6, 0), outcome.text


def test_two_tasks_on_one_session_fail_by_sqlalchemys_words(outcome: Outcome) -> None:
    """The session is closed after it, whatever it was in the middle of."""
    assert "Session is already flushing" in outcome.section("test_two_tasks_share_a_session")


@pytest.mark.parametrize(
    "name", ["test_one_of_two_tasks_is_refused", "test_one_fails_after_the_other_wrote"]
)
def test_a_task_that_met_a_unique_violation_may_roll_back(outcome: Outcome, name: str) -> None:
    """It wrote nothing, so that the other's rows stay without a contradiction."""
    assert f"PASSED tests/integration/test_failures.py::{name}" in outcome.out


def test_a_task_that_is_left_is_named(outcome: Outcome) -> None:
    """In the summary if the test passed, and in the report of one that failed."""
    line = outcome.line("pgsandbox: a passing test has left tasks: ")

    assert "::test_passes_and_leaves_a_task (mail to Ada, mail() at tests/integration/" in line
    assert "mail to Grace, mail() at" in outcome.section("test_fails_and_leaves_a_task")


def test_a_task_of_a_fixture_is_not_the_tests(outcome: Outcome) -> None:
    """It was there before the test's body ran."""
    assert "test_leaves_what_was_there (" not in outcome.out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test_reads_a_relationship", "options(selectinload(Item.parts))"),
        ("test_reads_what_expired", "expire_on_commit=False"),
        ("test_uses_a_blocking_session", "db_session and db_engine are synchronous"),
    ],
)
def test_a_missing_greenlet_is_explained(outcome: Outcome, name: str, words: str) -> None:
    """Which attribute was read, and how to load it."""
    assert words in outcome.section(name)
