"""Asynchronous applications in clones, where each connection is a real one of its own."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET, Outcome
from tests.kit.nightly import by_night

_INI = 'asyncio_default_fixture_loop_scope = "function"'

_FILES = {
    "application.py": f"""
        import os
        from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

        URL = f"postgresql+{{os.environ['SHOP_DRIVER']}}://dev:{SECRET}@127.0.0.1:1/<name>"

        engine = create_async_engine(URL)
        Session = async_sessionmaker(engine, expire_on_commit=False)
    """,
    "factories.py": """
        import factory
        from models import Item

        from pgsandbox.factories import Factory

        class ItemFactory(Factory):
            class Meta:
                model = Item

            name = factory.Sequence(lambda number: f"item {number}")
    """,
    "tests/integration/test_clones.py": """
        import pytest
        from application import Session, engine
        from factories import ItemFactory
        from models import Item
        from sqlalchemy import create_engine, func, make_url, select, text
        from sqlalchemy.orm import Session as BlockingSession

        pytestmark = [
            pytest.mark.pgsandbox(isolation="clone"),
            pytest.mark.parametrize("time", range(3)),
        ]
        count = select(func.count(Item.id))

        def test_session(db_session, time):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert db_session.scalar(count) == 1

        def test_connection(db_connection, time):
            db_connection.execute(text("insert into items (name) values ('tea')"))
            assert db_connection.scalar(count) == 1

        def test_engine(db_engine, time):
            with BlockingSession(db_engine) as session:
                session.add(Item(name="tea"))
                session.commit()
                assert session.scalar(count) == 1

        def test_factory(pg, time):
            ItemFactory()

        def test_factory_and_session(db_session, pg, time):
            ItemFactory()
            db_session.commit()
            assert pg.outside("select count(*) from items") == 1

        @pytest.mark.asyncio
        async def test_async_session(async_db_session, time):
            async_db_session.add(Item(name="tea"))
            await async_db_session.commit()
            async with Session() as session:
                assert await session.scalar(count) == 1
            await engine.dispose()

        @pytest.mark.asyncio
        async def test_async_factory(async_db_session, time):
            item = ItemFactory()
            async with Session() as session:
                assert await session.scalar(count) == 1
            await async_db_session.refresh(item)
            item.name = "tea"
            await async_db_session.commit()
            async with Session() as session:
                assert await session.scalar(select(Item.name)) == "tea"
            await engine.dispose()

        @pytest.mark.asyncio
        async def test_async_engine(async_db_engine, pg, time):
            assert async_db_engine.url == make_url(pg.url)
            async with async_db_engine.begin() as connection:
                await connection.execute(text("insert into items (name) values ('tea')"))
            async with async_db_engine.connect() as connection:
                assert await connection.scalar(count) == 1

        @pytest.mark.asyncio
        async def test_both_sessions(async_db_session, db_session, time):
            ItemFactory()
            db_session.commit()
            assert await async_db_session.scalar(count) == 1

        @pytest.mark.asyncio
        async def test_application_left_open(time):
            async with Session() as session:
                session.add(Item(name="tea"))
                await session.commit()
                assert await session.scalar(count) == 1
    """,
}


@pytest.fixture(scope="module", params=["asyncpg", *by_night("psycopg")])
def outcome(request: pytest.FixtureRequest, make_project: MakeProject) -> Outcome:
    """What three runs of each test in one process said."""
    project = make_project(_FILES, 'url = "application:URL"\nredirect = true', _INI)
    return project.run(
        *("-p", "pytest_asyncio.plugin", "-p", "no:randomly", "-rfE"),
        *("-W", "error"),
        SHOP_DRIVER=request.param,
    )


def test_every_clone_is_as_good_as_the_first(outcome: Outcome) -> None:
    """Ten tests, three times each: engines, sessions and factories of both kinds."""
    assert outcome.counts == {"passed": 30}, outcome.text
