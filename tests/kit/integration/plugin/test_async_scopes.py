"""What a fixture of a wider scope makes with an asynchronous driver stands for its scope."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET

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
