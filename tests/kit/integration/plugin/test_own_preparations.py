"""Suites that made and dropped tables and databases by themselves, before pgsandbox came."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome
from tests.kit.nightly import by_night

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
    "fixture", [_IN_SQL, *by_night(_CREATES_ALL, _EACH_TEST)], ids=["sql", "session", "function"]
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


# ------------------------------------------------------------- statements sent to the sandbox

_SENT = """
    @pytest.fixture(scope="session")
    def database(db_engine):
        engine = db_engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("{statement}"))
"""
_SENT_AT_THE_END = """
    @pytest.fixture
    def database(db_engine):
        yield
        with db_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("drop database shop_tests"))
"""
_SENT_BY_THE_DRIVER = """
    import psycopg2

    @pytest.fixture
    def database(pg):
        connection = psycopg2.connect(pg.url.replace("+psycopg2", ""))
        connection.autocommit = True
        connection.cursor().execute("create database shop_tests")
"""
_SENT_BY_ASYNCPG = """
    import asyncio

    @pytest.fixture
    def database(pg):
        async def make():
            engine = create_async_engine(
                pg.url.replace("psycopg2", "asyncpg"), isolation_level="AUTOCOMMIT"
            )
            async with engine.connect() as connection:
                await connection.execute(text("create database shop_tests"))
        asyncio.run(make())
"""


@pytest.mark.parametrize(
    "fixture",
    [
        _SENT.format(statement="create database shop_tests"),
        _SENT_AT_THE_END,
        *by_night(_SENT.format(statement="DROP DATABASE IF EXISTS shop_tests")),
    ],
    ids=["create", "at the end", "drop"],
)
def test_a_statement_in_the_sandbox_is_told_with_its_fixture(
    make_project: MakeProject, fixture: str
) -> None:
    """The test database itself is open to the fixture, and no clone would help it."""
    run = _run(make_project, fixture)

    assert run.counts["errors"] == 3
    assert run.text.count("Delete `database` at tests/integration/conftest.py:8: it makes or") == 1
    assert run.text.count("Background: pgsandbox explain NotInSandbox") == 1
    assert run.text.count("conftest.py:8; tests/integration/test_it.py::test_one says more.") == 2
    assert 'isolation="clone"' not in run.text


@pytest.mark.parametrize(
    ("fixture", "line"),
    [(_SENT_BY_THE_DRIVER, 10), *by_night((_SENT_BY_ASYNCPG, 10))],
    ids=["psycopg2", "asyncpg"],
)
def test_any_driver_is_told_so(make_project: MakeProject, fixture: str, line: int) -> None:
    """What the endpoint says goes through each driver's own error."""
    run = _run(make_project, fixture)

    assert run.counts == {"passed": 1, "errors": 3}
    assert run.text.count(f"Delete `database` at tests/integration/conftest.py:{line}: it") == 1
    assert 'isolation="clone"' not in run.text


def test_an_application_that_makes_databases_is_told_of_clones(make_project: MakeProject) -> None:
    """It has a reason of its own, also where a fixture calls it."""
    tenants = """
    from sqlalchemy import text

    def add_tenant(engine):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("create database tenant"))
"""
    tests = """
    import pytest
    from tenants import add_tenant

    @pytest.fixture
    def tenant(db_engine):
        add_tenant(db_engine)

    def test_tenant(tenant): pass
    def test_another(db_engine): add_tenant(db_engine)
"""
    run = make_project({"tenants.py": tenants, "tests/integration/test_it.py": tests}).run()

    assert run.counts == {"errors": 1, "failed": 1}
    assert "Delete `" not in run.text
    assert run.text.count('@pytest.mark.pgsandbox(isolation="clone"). There transactions') >= 2


# ------------------------------------------------------------------------ hooks around a run

_HOOK = """
    from models import Base
    from sqlalchemy import create_engine

    def {name}({argument}):
        Base.metadata.{call}(create_engine("postgresql+psycopg2://localhost:1/shop_tests"))
"""
_PASSES = "def test_it(pg, db_connection): db_connection.exec_driver_sql('select 1')"


def _with_hook(make_project: MakeProject, name: str, argument: str, call: str) -> Outcome:
    files = {
        "tests/conftest.py": _HOOK.format(name=name, argument=argument, call=call),
        "tests/integration/test_it.py": _PASSES,
    }
    return make_project(files).run("--junitxml=report.xml", "-p", "no:randomly")


@pytest.mark.parametrize(
    ("name", "argument"), [("pytest_configure", "config"), ("pytest_sessionstart", "session")]
)
def test_a_hook_before_the_tests_is_told(
    make_project: MakeProject, name: str, argument: str
) -> None:
    """In one message, and no test runs."""
    run = _with_hook(make_project, name, argument, "create_all")

    assert run.code == 4
    assert "INTERNALERROR" not in run.text
    assert "Traceback (" not in run.text
    assert run.text.count(f"Delete `{name}` at tests/conftest.py:4: it makes or drops") == 1


@pytest.mark.parametrize(
    ("name", "argument"), [("pytest_sessionfinish", "session"), ("pytest_unconfigure", "config")]
)
def test_a_hook_after_the_tests_is_told(
    make_project: MakeProject, name: str, argument: str
) -> None:
    """The report stays, the other hooks are called, and the exit code is none of success."""
    run = _with_hook(make_project, name, argument, "drop_all")

    assert run.code == 4
    assert run.counts == {"passed": 1}
    assert "INTERNALERROR" not in run.text
    assert "Traceback (" not in run.text
    assert "generated xml file" in run.text
    assert run.text.count(f"Delete `{name}` at tests/conftest.py:4: it makes or") == 1
    assert "1 test used the database" in run.text


def test_a_hook_after_the_tests_is_told_once_for_all_workers(make_project: MakeProject) -> None:
    """Those of pytest-xdist and their controller call it, each."""
    files = {
        "tests/conftest.py": _HOOK.format(
            name="pytest_sessionfinish", argument="session", call="drop_all"
        ),
        "tests/integration/test_it.py": _PASSES,
    }
    run = make_project(files).run("-p", "xdist", "-n", "2")

    assert run.code == 4
    assert run.counts == {"passed": 1}
    assert run.text.count("Delete `pytest_sessionfinish` at tests/conftest.py:4") == 1


def test_a_hook_that_only_workers_call_decides_too(make_project: MakeProject) -> None:
    """What a worker was refused reaches the exit code of the controller."""
    hook = """
    from models import Base
    from sqlalchemy import create_engine

    def pytest_sessionfinish(session):
        if hasattr(session.config, "workerinput"):
            Base.metadata.drop_all(create_engine("postgresql+psycopg2://localhost:1/shop_tests"))
"""
    files = {"tests/conftest.py": hook, "tests/integration/test_it.py": _PASSES}
    run = make_project(files).run("-p", "xdist", "-n", "2")

    assert run.code == 4
    assert run.text.count("Delete `pytest_sessionfinish` at tests/conftest.py:4") == 1


def test_another_error_in_a_hook_is_pytests(make_project: MakeProject) -> None:
    """Nothing of it is swallowed."""
    files = {
        "tests/conftest.py": "def pytest_sessionfinish(session): raise KeyError('its own')",
        "tests/integration/test_it.py": _PASSES,
    }
    run = make_project(files).run()

    assert run.code not in (0, 4)
    assert "KeyError: 'its own'" in run.text
