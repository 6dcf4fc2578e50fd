"""A driver's own connect, in every way that it can be called: where it goes, and what it is told.

The project's development database is a real one that would let everybody in; it counts who comes.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project

_FILES = {
    # Imported before any plugin stands in the way, as other plugins of a project are.
    "early.py": """
        import asyncio

        import asyncpg
        import psycopg
        import psycopg2.extras
        import psycopg2.pool
        from asyncpg import connect as asyncpg_connect, create_pool
        from psycopg import AsyncConnection, Connection, connect as psycopg_connect
        from psycopg2 import connect as psycopg2_connect
        from sqlalchemy import create_engine

        def keywords(url):
            return psycopg2.extensions.parse_dsn(url)

        async def of_asyncpg(connect, url):
            connection = await connect(url)
            value = await connection.fetchval("select 1")
            await connection.close()
            return value

        async def of_pool(url):
            async with create_pool(url, min_size=1, max_size=1) as pool:
                return await pool.fetchval("select 1")

        async def of_psycopg(connect, url):
            async with await connect(url) as connection:
                cursor = await connection.execute("select 1")
                return (await cursor.fetchone())[0]

        def read(connection):
            cursor = connection.cursor()
            cursor.execute("select 1")
            value = cursor.fetchone()[0]
            connection.close()
            return value

        WAYS = {
            "psycopg2": lambda url: read(psycopg2.connect(url)),
            "psycopg2, keywords": lambda url: read(psycopg2.connect(**keywords(url))),
            "psycopg2, bound": lambda url: read(psycopg2_connect(url)),
            "psycopg2, class": lambda url: read(
                psycopg2.connect(url, connection_factory=psycopg2.extras.DictConnection)
            ),
            "psycopg2, pool": lambda url: read(
                psycopg2.pool.SimpleConnectionPool(1, 1, url).getconn()
            ),
            "psycopg": lambda url: read(psycopg.connect(url)),
            "psycopg, keywords": lambda url: read(psycopg.connect(**keywords(url))),
            "psycopg, bound": lambda url: read(psycopg_connect(url)),
            "psycopg, class": lambda url: read(Connection.connect(url)),
            "psycopg, async": lambda url: asyncio.run(of_psycopg(AsyncConnection.connect, url)),
            "asyncpg": lambda url: asyncio.run(of_asyncpg(asyncpg.connect, url)),
            "asyncpg, bound": lambda url: asyncio.run(of_asyncpg(asyncpg_connect, url)),
            "asyncpg, pool": lambda url: asyncio.run(of_pool(url)),
        }
    """,
    "attempts.py": """
        DEVELOPMENT = "<development>"
        refused = {}

        def note(phase, way):
            try:
                way(DEVELOPMENT)
            except Exception as error:
                refused[phase] = error
    """,
    "tests/conftest.py": """
        import attempts, early, pytest

        attempts.note("conftest", early.WAYS["psycopg2"])

        @pytest.fixture(params=early.WAYS)
        def way(request):
            return early.WAYS[request.param]

        @pytest.fixture(scope="session", autouse=True)
        def opens_what_it_likes():
            attempts.note("session fixture", early.WAYS["asyncpg"])
    """,
    "tests/unit/test_1_unit.py": """
        import attempts, early, pytest
        from pgsandbox.errors import DatabaseNotRequested, GuardError

        attempts.note("collection", early.WAYS["psycopg"])

        def test_nothing_is_opened(way):
            with pytest.raises(DatabaseNotRequested) as caught:
                way(attempts.DEVELOPMENT)
            said = str(caught.value)
            assert "test_1_unit.py::test_nothing_is_opened" in said
            assert "/<name>_development" in said
            assert " early.py:" in said

        @pytest.mark.parametrize(
            ("phase", "words"),
            [
                ("conftest", "pytest loads the project's conftest files"),
                ("collection", "pytest collects the tests"),
                ("session fixture", "test_2_sandboxed.py::test_another_database[psycopg2]"),
            ],
        )
        def test_what_came_before(phase, words):
            assert isinstance(attempts.refused[phase], GuardError)
            assert words in str(attempts.refused[phase])

        def test_an_allowed_database_is_opened(way):
            assert way("<allowed>") == 1
    """,
    "tests/integration/test_2_sandboxed.py": """
        import attempts, pytest, threading
        import sqlalchemy
        from pgsandbox.errors import ForeignDatabase

        def plain(pg):
            return "postgresql:" + pg.url.partition(":")[2]

        def test_another_database(way, db_session):
            with pytest.raises(ForeignDatabase, match="_development") as caught:
                way(attempts.DEVELOPMENT)
            assert "redirect" in str(caught.value)

        def test_the_test_database(way, pg):
            assert way(plain(pg)) == 1
            assert "select 1" in pg.statements

        def test_an_allowed_database(way, db_session):
            assert way("<allowed>") == 1

        @pytest.mark.pgsandbox(isolation="clone")
        def test_its_own_database(way, pg):
            assert way(plain(pg)) == 1

        @pytest.mark.pgsandbox(isolation="clone")
        def test_another_database_in_a_clone(way, pg):
            with pytest.raises(ForeignDatabase, match="_development"):
                way(attempts.DEVELOPMENT)

        @pytest.mark.pgsandbox(isolation="clone")
        def test_the_shared_database_in_a_clone(way, pg, request):
            plugin = request.config.pluginmanager.getplugin("pgsandbox-active")
            shared = plugin.run.run_databases["default"].database.url
            shared = shared.set(drivername="postgresql").render_as_string(hide_password=False)
            assert way(shared) == 1
            database = plugin.run.run_databases["default"].database
            assert database.clone is not None
            assert not database.executed()

        def test_an_engines_creator(pg, way):
            import psycopg2
            there = lambda: psycopg2.connect(attempts.DEVELOPMENT)
            with pytest.raises(ForeignDatabase, match="_development"):
                sqlalchemy.create_engine("postgresql+psycopg2://", creator=there).connect()

        def test_what_stands_in_the_environment(way, db_session, monkeypatch):
            parts = sqlalchemy.make_url(attempts.DEVELOPMENT)
            monkeypatch.setenv("PGHOST", parts.query["host"])
            monkeypatch.setenv("PGPORT", parts.query["port"])
            monkeypatch.setenv("PGDATABASE", parts.database)
            monkeypatch.setenv("PGUSER", parts.username)
            with pytest.raises(ForeignDatabase, match="_development"):
                way("postgresql://")

        def test_a_service(way, db_session, monkeypatch, tmp_path):
            parts = sqlalchemy.make_url(attempts.DEVELOPMENT)
            (tmp_path / "services").write_text(
                f"[development]\\nhost={parts.query['host']}\\nport={parts.query['port']}\\n"
                f"dbname={parts.database}\\nuser={parts.username}\\n"
            )
            monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
            monkeypatch.setenv("PGSERVICE", "development")
            with pytest.raises(ForeignDatabase, match="(?s)PGSERVICE decides.*env -u PGSERVICE"):
                way("postgresql://")
            monkeypatch.delenv("PGSERVICE")
            with pytest.raises(ForeignDatabase, match='"service" decides'):
                way("postgresql://?service=development")

        def test_two_hosts(way, db_session):
            parts = sqlalchemy.make_url(attempts.DEVELOPMENT)
            first, port, name = parts.query["host"], parts.query["port"], parts.database
            with pytest.raises(ForeignDatabase, match="several|ambiguous"):
                way(f"postgresql://{parts.username}@/{name}?host={first},{first}&port={port},{port}")
    """,
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject, server: Server, names: dict[str, str]) -> Project:
    """The project with these tests."""
    urls = {
        kind: server.url_of(name, "postgresql").render_as_string(hide_password=False)
        for kind, name in names.items()
    }
    files = _FILES
    for kind, url in urls.items():
        files = {path: text.replace(f"<{kind}>", url) for path, text in files.items()}
    files = {
        path: text.replace("<name>_development", names["development"])
        for path, text in files.items()
    }
    settings = f'server = "embedded"\nallow = ["{urls["allowed"]}"]'
    return make_project(files, settings)


@pytest.fixture(scope="module")
def outcome(project: Project) -> Outcome:
    """Its run, in which another plugin has imported the drivers before the kit stood in the way."""
    return project.run("-p", "early", "tests")


def test_every_way_is_refused_and_told_why(outcome: Outcome) -> None:
    """Each of the project's tests asserts the refusal of one call, or that it is let through."""
    assert outcome.code == 0, outcome.text
    assert outcome.counts == {"passed": 12 * 13 + 3}


def test_drivers_that_are_imported_later(project: Project) -> None:
    """Here it is a conftest that imports them; they are wrapped then."""
    run = project.run("tests/unit", "-k", "nothing_is_opened")

    assert run.counts == {"passed": 13, "deselected": 16}


def test_nobody_came(outcome: Outcome, server: Server, names: dict[str, str]) -> None:
    """The server counted no session of the development database, and some of the allowed one."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select sessions > 0 from pg_stat_database where datname in %s order by datname",
            (tuple(names.values()),),
        )

        assert cursor.fetchall() == [(True,), (False,)]
