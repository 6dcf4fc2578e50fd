"""Connections that the guard refuses in a test run, and what it says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET, Outcome, Project, execute

_DEVELOPMENT = f"postgresql+psycopg2://dev:{SECRET}@127.0.0.1:1/<name>"

_FILES = {
    "application.py": """
        from sqlalchemy import create_engine

        URL = "<development>"
        engine = create_engine(URL)


        def ping():
            with engine.connect() as connection:
                connection.exec_driver_sql("select 1")
    """,
    "tests/integration/test_1_sandboxed.py": """
        import asyncio
        import contextlib
        import threading

        import application
        import pytest
        import sqlalchemy
        from sqlalchemy.ext.asyncio import create_async_engine

        import survivors
        from models import Base
        from pgsandbox.errors import ForeignDatabase

        def test_development_database():
            application.ping()

        def test_sqlite():
            sqlalchemy.create_engine("sqlite://").connect()

        def test_half_of_its_url(pg):
            url = sqlalchemy.make_url(pg.url)
            driver = url.set(drivername="postgresql+psycopg2", query={}, port=1)
            sqlalchemy.create_engine(driver).connect()

        def test_allowed():
            with sqlalchemy.create_engine("<allowed>").connect() as connection:
                name = connection.exec_driver_sql("select current_database()").scalar()
                assert name == "<library>"
                connection.exec_driver_sql("create table untouched ()")
                connection.commit()

        def test_allowed_sqlite(tmp_path):
            sqlalchemy.create_engine("sqlite:///allowed.db").connect()

        def test_tables_of_the_development_database():
            with pytest.raises(ForeignDatabase, match="<name>"):
                Base.metadata.drop_all(application.engine)
            with pytest.raises(ForeignDatabase, match="<name>"):
                Base.metadata.create_all(application.engine)

        def test_swallows_the_refusal(db_session):
            with contextlib.suppress(Exception):
                application.ping()
            assert not "a connection, though the application said nothing"

        async def ping():
            async with create_async_engine(
                "postgresql+asyncpg://dev@127.0.0.1:1/elsewhere"
            ).connect():
                pass

        def test_async_engine():
            asyncio.run(ping())

        def test_leaves_a_thread(db_engine):
            survivors.start(db_engine.url)
    """,
    "survivors.py": """
        import threading

        import sqlalchemy

        refused = []
        _go = threading.Event()
        _threads = []

        def start(url):
            _threads.append(threading.Thread(target=_connect, args=(url,)))
            _threads[0].start()

        def end():
            _go.set()
            _threads[0].join()

        def _connect(url):
            _go.wait()
            try:
                sqlalchemy.create_engine(url).connect()
            except Exception as error:
                refused.append(error)
    """,
    "tests/unit/test_2_unit.py": """
        import application
        import sqlalchemy

        import survivors

        def test_unit():
            application.ping()

        def test_thread_of_an_earlier_test():
            survivors.end()
            raise survivors.refused[0]

        def test_sqlite_in_memory_is_allowed_by_its_setting():
            with sqlalchemy.create_engine("sqlite://").connect() as connection:
                assert connection.exec_driver_sql("select 1").scalar() == 1
    """,
    "tests/unit/test_3_collected.py": """
        import application

        application.ping()

        def test_never():
            pass
    """,
}


@pytest.fixture(scope="module")
def allowed(server: Server) -> Iterator[str]:
    """A database that is not ours, which the project's settings allow."""
    name = "a_library_of_somebody"
    execute(server, "drop database if exists {}", name)
    execute(server, "create database {}", name)
    yield name
    execute(server, "drop database {} with (force)", name)


@pytest.fixture(scope="module")
def project(make_project: MakeProject, server: Server, allowed: str) -> Project:
    """An application whose engine points at its development database, which no test opens."""
    url = server.url_of(allowed).render_as_string(hide_password=False)
    files = {
        name: text.replace("<development>", _DEVELOPMENT)
        .replace("<allowed>", url)
        .replace("<library>", allowed)
        for name, text in _FILES.items()
    }
    settings = (
        f'url = "{_DEVELOPMENT}"\nserver = "embedded"\nallow = ["{url}", "sqlite:///allowed.db"]'
        "\nallow-memory-sqlite = true"
    )
    return make_project(files, settings)


@pytest.fixture(scope="module")
def outcome(project: Project) -> Outcome:
    """Its run, with the longest tracebacks there are."""
    return project.run("--continue-on-collection-errors", "--tb=long")


def test_each_attempt_fails_its_test(outcome: Outcome) -> None:
    """Those pass that need nothing of it, or that expect the refusal."""
    assert outcome.counts == {"failed": 7, "passed": 5, "errors": 1}


def test_a_unit_test_is_told_how_to_ask(outcome: Outcome, project: Project) -> None:
    """The message names the test, the masked URL, the line, and the three ways to ask."""
    said = outcome.section("test_unit")

    assert "DatabaseNotRequested: A connection to PostgreSQL was opened" in said
    assert re.search(r"running +tests/unit/test_2_unit.py::test_unit", said)
    assert re.search(rf"url +postgresql\+psycopg2://dev(:\*\*\*)?@127.0.0.1:1/{project.name}", said)
    assert re.search(r"opened at +application.py:8", said)
    assert "db_session" in said
    assert "@pytest.mark.pgsandbox" in said
    assert "`paths`" in said


def test_the_development_database_is_refused(outcome: Outcome, project: Project) -> None:
    """A test that may use the database gets no other one, and is told of `redirect`."""
    said = outcome.section("test_development_database")

    assert f'ForeignDatabase: A test tried to open "{project.name}"' in said
    assert re.search(r"opened at +application.py:8", said)
    assert re.search(r"engine made at +application.py:4", said)
    assert re.search(rf'application +"postgresql.*/{project.name}" +\(pyproject.toml', said)
    assert re.search(rf"test database +postgresql\+psycopg2://.*/{project.name}_test", said)
    assert "redirect = true" in said
    assert "allow" in said


def test_a_url_that_was_taken_apart_is_told(outcome: Outcome) -> None:
    """Its name is right, so it is the host that the message speaks of, and the way out."""
    assert "give such code pg.tcp_url" in outcome.section("test_half_of_its_url")
    assert "pg.tcp_url" not in outcome.section("test_development_database")


def test_sqlite_is_refused_in_a_database_test(outcome: Outcome) -> None:
    """It is not the database that the test is about; the message says what lets it open."""
    said = outcome.section("test_sqlite")

    assert "ForeignDatabase" in said
    assert 'name it in `allow`: allow = ["sqlite://"]' in said
    assert "`allow-memory-sqlite = true` is for tests that do not ask" in said
    assert "redirect = true" not in said


def test_a_refusal_that_was_caught_is_in_the_report(outcome: Outcome) -> None:
    """The application caught it, and failed in some other way."""
    said = outcome.section("test_swallows_the_refusal")

    assert "connections that were refused" in said
    assert re.search(r"opened at +application.py:8", said)


def test_an_async_engine_is_refused_by_its_place(outcome: Outcome) -> None:
    """SQLAlchemy connects in a greenlet; the coroutine that waits for it is named all the same."""
    said = outcome.section("test_async_engine")

    assert 'ForeignDatabase: A test tried to open "elsewhere"' in said
    assert re.search(r"engine made at +tests/integration/test_1_sandboxed.py:\d+", said)
    assert re.search(r"opened at +tests/integration/test_1_sandboxed.py:\d+", said)


def test_a_thread_that_outlives_its_test_is_refused(outcome: Outcome) -> None:
    """When it connects at last, another test is running, which is named."""
    said = outcome.section("test_thread_of_an_earlier_test")

    assert "DatabaseNotRequested" in said
    assert "::test_thread_of_an_earlier_test" in said
    assert re.search(r"opened at +survivors.py:20", said)


def test_collection_opens_nothing(outcome: Outcome) -> None:
    """A test module that connects when it is imported is refused then."""
    said = outcome.section("ERROR collecting tests/unit/test_3_collected.py")

    assert "DatabaseNotRequested" in said
    assert re.search(r"running +pytest collects the tests", said)


def test_an_allowed_database_is_opened_untouched(
    outcome: Outcome, server: Server, allowed: str
) -> None:
    """Not even a transaction stands around what is done there."""
    with closing(server.connect(allowed)) as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('untouched') is not null")

        assert cursor.fetchone() == (True,)


def test_no_password_is_shown(outcome: Outcome) -> None:
    """Neither in a message nor in the arguments of a frame of a long traceback."""
    assert SECRET not in outcome.text
