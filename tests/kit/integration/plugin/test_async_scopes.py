"""What a fixture of a wider scope makes with an asynchronous driver stands for its scope."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET
from tests.kit.nightly import by_night

_APPLICATION = f"""
import os
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

DRIVER = os.environ.get("SHOP_DRIVER", "asyncpg")
URL = f"postgresql+{{DRIVER}}://dev:{SECRET}@127.0.0.1:1/<name>"

engine = create_async_engine(URL, pool_pre_ping=True)
Session = async_sessionmaker(engine, expire_on_commit=False)
"""

_TESTS = """
    import pytest
    import pytest_asyncio
    from application import Session, engine
    from models import Item
    from sqlalchemy import func, select, text


    @pytest_asyncio.fixture(scope="session", autouse=True)
    async def emptied():
        async with Session.begin() as session:
            await session.execute(text("TRUNCATE items RESTART IDENTITY CASCADE"))
        await engine.dispose()


    @pytest_asyncio.fixture(scope="module")
    async def one():
        async with Session.begin() as session:
            session.add(Item(name="one"))
        yield
        async with Session() as session:
            assert await session.scalar(select(func.count(Item.id))) == 1
        await engine.dispose()


    @pytest.mark.parametrize("time", range(3))
    @pytest.mark.asyncio
    async def test_starts_from_the_same(one, time):
        async with Session.begin() as session:
            await session.execute(text("UPDATE items SET name = 'another'"))
            session.add(Item(name="one"))

        async with Session() as session:
            assert await session.scalar(select(func.count(Item.id))) == 2


    def test_synchronous(one, db_session):
        assert db_session.scalars(select(Item.name)).all() == ["one"]
"""


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_every_asynchronous_test_starts_from_the_same(
    make_project: MakeProject, driver: str
) -> None:
    """Rows of fixtures that await stand beneath the tests, and no statement of ours fails there."""
    project = make_project(
        {"application.py": _APPLICATION, "tests/integration/test_it.py": _TESTS},
        'url = "application:URL"\nredirect = true',
    )

    run = project.run("-p", "pytest_asyncio.plugin", SHOP_DRIVER=driver)

    assert run.counts == {"passed": 4}


_FACTORIES = """
    import factory
    from models import Item

    from pgsandbox.factories import Factory

    class ItemFactory(Factory):
        class Meta:
            model = Item

        name = factory.Sequence(lambda number: f"item {number}")
"""

_SHARED = """
    import pytest
    from application import Session
    from factories import ItemFactory
    from models import Item
    from sqlalchemy import select

    @pytest.fixture(scope="module")
    def shared():
        return ItemFactory(name="shared")

    async def rename_and_commit(shared, session):
        own = ItemFactory()
        assert shared.name == "shared"
        assert shared in session and own in session
        await session.refresh(shared)
        shared.name, own.name = "renamed", "own"
        await session.commit()
        assert shared.name == "renamed"
        async with Session() as application:
            assert set(await application.scalars(select(Item.name))) == {"renamed", "own"}

    @pytest.mark.parametrize("time", range(2))
    @pytest.mark.asyncio
    async def test_in_the_sandbox(shared, async_db_session, time):
        await rename_and_commit(shared, async_db_session)

    @pytest.mark.parametrize("time", range(2))
    def test_synchronous(shared, db_session, time):
        assert shared.name == "shared" and shared in db_session
        shared.name = "renamed"
        db_session.commit()
        assert ItemFactory() in db_session and shared.name == "renamed"

    @pytest.mark.asyncio
    async def test_both_sessions(shared, async_db_session, db_session):
        assert shared in db_session and ItemFactory() in db_session
        assert await async_db_session.scalar(select(Item.name).where(Item.name == "shared"))

    @pytest.mark.parametrize("time", range(2))
    @pytest.mark.asyncio
    @pytest.mark.pgsandbox(isolation="clone")
    async def test_in_a_clone(shared, async_db_session, time):
        await rename_and_commit(shared, async_db_session)
"""


@pytest.mark.parametrize("scope", ["function", "session"])
@pytest.mark.parametrize("driver", ["asyncpg", *by_night("psycopg")])
def test_the_asynchronous_session_holds_what_wider_factories_made(
    make_project: MakeProject, driver: str, scope: str
) -> None:
    """What a module's factory made, and what the test's make, are in one session, in every test."""
    project = make_project(
        {
            "application.py": _APPLICATION,
            "factories.py": _FACTORIES,
            "tests/integration/test_it.py": _SHARED,
        },
        'url = "application:URL"\nredirect = true',
        f'asyncio_default_fixture_loop_scope = "{scope}"\n'
        f'asyncio_default_test_loop_scope = "{scope}"',
    )

    run = project.run("-p", "pytest_asyncio.plugin", "-W", "error", SHOP_DRIVER=driver)

    assert run.counts == {"passed": 7}, run.text


_FIRST = """
    import pytest
    from factories import ItemFactory
    from models import Item
    from sqlalchemy import select

    @pytest.mark.asyncio
    async def test_the_factory_connects_first(async_db_session):
        item = ItemFactory()
        assert await async_db_session.scalar(select(Item.id)) == item.id
        item.name = "tea"
        await async_db_session.commit()

    @pytest.mark.asyncio
    async def test_the_session_connects_first(async_db_session):
        async_db_session.add(Item(name="milk"))
        await async_db_session.flush()
        assert ItemFactory(name="tea").id
        assert set(await async_db_session.scalars(select(Item.name))) == {"milk", "tea"}
"""


@pytest.mark.parametrize("first", ["factory", "session"])
@pytest.mark.parametrize("driver", ["asyncpg", *by_night("psycopg")])
def test_what_was_written_survives_the_other_connection(
    make_project: MakeProject, driver: str, first: str
) -> None:
    """SQLAlchemy ends an engine's first connection with a rollback, which is that engine's own."""
    project = make_project(
        {
            "application.py": _APPLICATION,
            "factories.py": _FACTORIES,
            "tests/integration/test_it.py": _FIRST,
        },
        'url = "application:URL"\nredirect = true',
        'asyncio_default_fixture_loop_scope = "function"',
    )

    run = project.run("-p", "pytest_asyncio.plugin", "-k", f"{first}_connects", SHOP_DRIVER=driver)

    assert run.counts == {"passed": 1, "deselected": 1}, run.text
