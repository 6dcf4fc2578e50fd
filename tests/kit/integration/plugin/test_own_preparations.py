"""Suites that made and dropped tables and databases by themselves, before pgsandbox came."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome

_TESTS = """
    def test_one(database): pass
    def test_two(database): pass
    def test_three(database): pass
    def test_innocent(db_session): pass
"""
_HEAD = """
    import pytest
    from models import Base
    from sqlalchemy import create_engine, text
    from sqlalchemy.ext.asyncio import create_async_engine

    URL = "postgresql+psycopg2://localhost:1/shop_tests"
"""
_CREATES_ALL = """
    @pytest.fixture(scope="session")
    def database():
        engine = create_engine(URL)
        Base.metadata.create_all(engine)
        yield
        Base.metadata.drop_all(engine)
"""
_EACH_TEST = _CREATES_ALL.replace('(scope="session")', "")
_IN_SQL = """
    @pytest.fixture(scope="session")
    def database():
        engine = create_engine(URL, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("drop database if exists shop_tests"))
"""
_AT_START = """
    import asyncio

    async def make():
        engine = create_async_engine("postgresql+asyncpg://localhost:1/shop_tests")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    def pytest_sessionstart(session):
        asyncio.run(make())
"""


def _run(make_project: MakeProject, conftest: str, below: str = "tests/integration") -> Outcome:
    files = {
        f"{below}/conftest.py": _HEAD + conftest,
        "tests/integration/test_it.py": _TESTS,
    }
    return make_project(files).run("-p", "no:randomly")


@pytest.mark.parametrize(
    "fixture", [_CREATES_ALL, _EACH_TEST, _IN_SQL], ids=["session", "function", "sql"]
)
def test_it_is_told_once_which_fixture_to_delete(make_project: MakeProject, fixture: str) -> None:
    """The message has the fixture with its place, and the other tests one line each."""
    run = _run(make_project, fixture)

    assert run.counts == {"passed": 1, "errors": 3}
    assert run.text.count("Delete `database` at tests/integration/conftest.py:8: it makes or") == 1
    assert run.text.count("Background:") == 1
    assert run.text.count("conftest.py:8; tests/integration/test_it.py::test_one says more.") == 2


def test_another_refusal_is_told_in_every_test(make_project: MakeProject) -> None:
    """A fixture that only connects makes nothing, and is not told to be deleted."""
    run = _run(
        make_project,
        """
    @pytest.fixture(scope="session")
    def database():
        create_engine(URL).connect()
""",
    )

    assert run.counts == {"passed": 1, "errors": 3}
    assert "Delete `" not in run.text
    assert run.text.count("Give the application the test database's URL") == 3


def test_a_test_that_makes_tables_is_not_told_to_be_deleted(make_project: MakeProject) -> None:
    """It has a reason of its own, and is told where it may do so."""
    test = """
    from models import Base
    from sqlalchemy import create_engine

    def test_tables(db_session):
        Base.metadata.create_all(create_engine("postgresql+psycopg2://localhost:1/other"))
"""
    run = make_project({"tests/integration/test_it.py": test}).run()

    assert run.counts == {"failed": 1}
    assert "Delete `" not in run.text
    assert "Give the application the test database's URL" in run.text


def test_a_hook_is_told_in_one_message(make_project: MakeProject) -> None:
    """And pytest does not take it for a failure of its own."""
    run = _run(make_project, _AT_START, "tests")

    assert run.code == 4
    assert "INTERNALERROR" not in run.text
    assert "Traceback (" not in run.text
    assert run.text.count("Background:") == 1
    assert "Delete `pytest_sessionstart` at tests/conftest.py:15" in run.text


def test_the_kits_own_frames_do_not_stand_in_a_fixtures_failure(make_project: MakeProject) -> None:
    """What a reader sees first is the fixture that failed, whatever its scope."""
    conftest = """
    @pytest.fixture(scope="session")
    def database(db_engine):
        raise KeyError("its own")

    @pytest.fixture
    def narrow():
        raise KeyError("narrow")

    @pytest.fixture
    def ends_badly(db_session):
        yield
        raise KeyError("at the end")
"""
    tests = """
    def test_wide(database): pass
    def test_narrow(narrow): pass
    def test_end(ends_badly): pass
"""
    run = make_project(
        {"tests/integration/conftest.py": _HEAD + conftest, "tests/integration/test_it.py": tests}
    ).run("-p", "no:randomly")

    assert run.counts == {"passed": 1, "errors": 3}
    assert "plugin/scopes.py" not in run.text
    assert "plugin/active.py" not in run.text
