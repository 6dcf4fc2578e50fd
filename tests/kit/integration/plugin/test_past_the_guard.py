"""Ways around the guard that were open once: each was green, and changed a development database."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project

_FACTORY = {
    "application.py": """
        import contextlib

        from sqlalchemy import create_engine

        class Application:
            app_context = staticmethod(contextlib.nullcontext)

        def create_app():
            with create_engine("sqlite:///development.db").begin() as connection:
                connection.exec_driver_sql("create table if not exists rows_of_somebody (id int)")
                connection.exec_driver_sql("insert into rows_of_somebody values (1)")
            return Application()
    """,
    "tests/integration/test_item.py": """
        from sqlalchemy import create_engine

        def test_item(db_session):
            create_engine("sqlite://").connect().close()
    """,
}

_SQLITE = {
    "heard.py": """
        said = []
    """,
    "tests/conftest.py": """
        from heard import said
        from sqlalchemy import create_engine

        try:
            create_engine("sqlite:///development.db").connect()
        except Exception as error:
            said.append(str(error))
    """,
    "tests/unit/test_unit.py": """
        import sqlite3

        import pytest
        from heard import said
        from pgsandbox.errors import DatabaseNotRequested
        from sqlalchemy import create_engine
        from sqlalchemy.pool import StaticPool

        def connect(*args, **more):
            return create_engine(*args, **more).connect().close()

        def test_conftest():
            assert "pytest loads the project's conftest files" in said[0]
            assert "allow" in said[0]

        @pytest.mark.parametrize(
            "url",
            [
                "sqlite:///development.db",
                "sqlite:///file:development.db?mode=rw&uri=true",
                "sqlite:///file:development.db?mode=memory",
                "sqlite:///file:development.db?mode=memory&mode=rwc&uri=true",
            ],
        )
        def test_file(url):
            with pytest.raises(DatabaseNotRequested, match="development.db"):
                connect(url)

        def test_creator():
            with pytest.raises(DatabaseNotRequested, match="development.db"):
                connect("sqlite://", creator=lambda: sqlite3.connect("development.db"))

        def test_a_creator_that_attaches():
            def there():
                made = sqlite3.connect(":memory:")
                made.execute("attach 'development.db' as there")
                return made
            with pytest.raises(DatabaseNotRequested, match="development.db"):
                connect("sqlite://", creator=there)

        @pytest.mark.parametrize(
            "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:shop?mode=memory&uri=true"]
        )
        def test_memory(url):
            connect(url)

        def test_memory_by_a_creator():
            connect("sqlite://", creator=lambda: sqlite3.connect(":memory:"), poolclass=StaticPool)
    """,
    "tests/integration/test_integration.py": """
        import pytest
        from pgsandbox.errors import ForeignDatabase
        from sqlalchemy import create_engine

        def test_memory(db_session):
            with pytest.raises(ForeignDatabase, match="sqlite"):
                create_engine("sqlite://").connect()
    """,
}

_DRIVERS = {
    "late.py": """
        import atexit

        import psycopg2

        def at_the_end():
            psycopg2.connect("<development>").close()
            print("the process has reached the development database")

        def by_an_engine():
            from sqlalchemy import create_engine
            create_engine("<development>", pool_pre_ping=True).connect().close()
            print("an engine has reached the development database")
    """,
    "tests/conftest.py": """
        import atexit
        import late

        def pytest_configure(config):
            config.add_cleanup(attempt)

        def attempt():
            for way in (late.at_the_end, late.by_an_engine):
                try:
                    way()
                except Exception as error:
                    print(type(error).__name__, error)

        atexit.register(late.at_the_end)
        atexit.register(late.by_an_engine)
    """,
    "tests/integration/test_drivers.py": """
        import asyncio
        import importlib.util
        import sys

        import asyncpg
        import psycopg2.extensions
        import pytest
        from pgsandbox.errors import ForeignDatabase
        from sqlalchemy import create_engine, make_url
        from sqlalchemy.ext.asyncio import create_async_engine

        DEVELOPMENT = make_url("<development>")
        ALLOWED = make_url("<allowed>")

        def pg8000_connection():
            import pg8000.dbapi
            return pg8000.dbapi.connect(
                user=DEVELOPMENT.username,
                database=DEVELOPMENT.database,
                unix_sock="{host}/.s.PGSQL.{port}".format(**DEVELOPMENT.query),
            )

        @pytest.mark.parametrize("url", ["postgresql+pg8000://", "postgresql+psycopg2://"])
        def test_creator_of_another_driver(db_session, url):
            with pytest.raises(ForeignDatabase, match="pg8000"):
                with create_engine(url, creator=pg8000_connection).connect() as connection:
                    connection.exec_driver_sql("create table by_pg8000 ()")
                    connection.commit()

        def test_reloaded(db_session):
            import psycopg2
            psycopg2 = importlib.reload(psycopg2)
            with pytest.raises(ForeignDatabase):
                psycopg2.connect("<development>")

        @pytest.mark.parametrize(
            ("name", "purged"),
            [
                ("psycopg2", ["psycopg2"]),
                ("psycopg", ["psycopg", "psycopg.connection", "psycopg.generators"]),
                ("asyncpg", ["asyncpg", "asyncpg.connection", "asyncpg.connect_utils"]),
            ],
        )
        def test_purged(db_session, name, purged, monkeypatch):
            importlib.import_module(name)
            for each in purged:
                monkeypatch.delitem(sys.modules, each)
            driver = importlib.import_module(name)
            with pytest.raises(ForeignDatabase):
                if name == "asyncpg":
                    asyncio.run(driver.connect("<development>"))
                else:
                    driver.connect("<development>")

        async def name_of(*args, **more):
            connection = await asyncpg.connect(*args, **more)
            name = await connection.fetchval("select current_database()")
            await connection.close()
            return name

        def test_asyncpg_takes_the_path(db_session):
            query = "&".join(f"{name}={value}" for name, value in DEVELOPMENT.query.items())
            url = f"postgresql://{DEVELOPMENT.username}@/{DEVELOPMENT.database}?{query}"
            with pytest.raises(ForeignDatabase):
                asyncio.run(name_of(f"{url}&dbname={ALLOWED.database}"))

        def test_asyncpg_takes_the_servers_settings(db_session):
            settings = {"database": DEVELOPMENT.database}
            with pytest.raises(ForeignDatabase):
                asyncio.run(name_of("<allowed>", server_settings=settings))

        async def by_engine(url, **more):
            engine = create_async_engine(url, connect_args=more)
            async with engine.connect() as connection:
                return (await connection.exec_driver_sql("select current_database()")).scalar()

        def test_an_engine_of_asyncpg_takes_them(db_session):
            url = ALLOWED.set(drivername="postgresql+asyncpg")
            with pytest.raises(ForeignDatabase):
                asyncio.run(by_engine(url, server_settings={"database": DEVELOPMENT.database}))

        async def heard(url):
            # A listener of asyncpg is called in the context in which its connection was made.
            engine = create_async_engine(url)
            said = asyncio.get_running_loop().create_future()

            async def reach():
                try:
                    said.set_result(await name_of("<development>"))
                except Exception as error:
                    said.set_exception(error)

            async with engine.connect() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                tasks = []

                def told(*_):
                    tasks.append(asyncio.ensure_future(reach()))

                await raw.add_listener("news", told)
                await raw.execute("notify news")
                async with asyncio.timeout(20):
                    await said
            return said.result()

        def test_a_listener_of_asyncpg(pg):
            with pytest.raises(ForeignDatabase):
                asyncio.run(heard(make_url(pg.url).set(drivername="postgresql+asyncpg")))

        @pytest.mark.pgsandbox(isolation="clone")
        def test_a_listener_in_a_clone(pg):
            with pytest.raises(ForeignDatabase):
                asyncio.run(heard(make_url(pg.url).set(drivername="postgresql+asyncpg")))

        class Auditing(psycopg2.extensions.connection):
            def __init__(self, *args, **more):
                psycopg2.connect("<development>").close()
                super().__init__(*args, **more)

        def test_a_connection_factory(pg):
            engine = create_engine(pg.url, connect_args={"connection_factory": Auditing})
            with pytest.raises(ForeignDatabase):
                engine.connect()

        def test_a_driver_that_was_loaded_from_its_file(db_session):
            there = importlib.util.find_spec("psycopg2").origin
            spec = importlib.util.spec_from_file_location("psycopg2", there)
            driver = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(driver)
            with pytest.raises(ForeignDatabase):
                driver.connect("<development>")

        @pytest.mark.pgsandbox(isolation="clone")
        def test_a_clones_engine_of_asyncpg(pg):
            url = make_url(pg.url).set(drivername="postgresql+asyncpg")
            with pytest.raises(ForeignDatabase):
                asyncio.run(by_engine(url, server_settings={"database": DEVELOPMENT.database}))
    """,
}


@pytest.fixture(scope="module")
def drivers(make_project: MakeProject, server: Server, names: dict[str, str]) -> Outcome:
    """The run in which each driver is used by its own rules."""
    files = _DRIVERS
    urls = {
        kind: server.url_of(name, "postgresql").render_as_string(hide_password=False)
        for kind, name in names.items()
    }
    for kind, url in urls.items():
        files = {path: text.replace(f"<{kind}>", url) for path, text in files.items()}
    settings = f'server = "embedded"\nallow = ["{urls["allowed"]}"]'
    return make_project(files, settings).run("tests", "-p", "no:randomly", "-s")


def _rows(project: Project) -> int:
    with closing(sqlite3.connect(project.path / "development.db")) as connection:
        found = connection.execute("select count(*) from sqlite_master").fetchone()
    return int(found[0])


def test_a_factory_migrates_no_file(make_project: MakeProject) -> None:
    """It is called before any test, while the kit builds."""
    project = make_project(_FACTORY, 'app = "application:create_app"')
    outcome = project.run()

    assert outcome.code == pytest.ExitCode.USAGE_ERROR, outcome.text
    assert "development.db" in outcome.text
    assert "`allow`" in outcome.text
    assert _rows(project) == 0


def test_a_file_that_is_allowed_is_migrated(make_project: MakeProject) -> None:
    """The same factory, by the setting that its refusal names; in memory, too."""
    allowed = '["sqlite:///development.db", "sqlite://"]'
    settings = f'app = "application:create_app"\nallow = {allowed}'
    project = make_project(_FACTORY, settings)

    assert project.run().counts == {"passed": 1}
    assert _rows(project) == 1


def test_sqlite_is_refused_from_the_first_conftest_on(make_project: MakeProject) -> None:
    """In memory it is let through by a setting, where no test has asked for the database."""
    project = make_project(_SQLITE, "allow-memory-sqlite = true")

    outcome = project.run("-p", "no:warnings")

    assert outcome.counts == {"passed": 12}
    assert not (project.path / "development.db").exists() or _rows(project) == 0


def test_sqlite_in_memory_is_refused_without_the_setting(make_project: MakeProject) -> None:
    """The refusal names the setting."""
    outcome = make_project(_SQLITE).run("tests/unit", "-k", "memory and not file")

    assert outcome.counts == {"failed": 3, "deselected": 8}
    assert "allow-memory-sqlite" in outcome.text


def test_each_driver_is_judged_by_its_own_rules(drivers: Outcome) -> None:
    """By a creator, after a reload, where asyncpg differs, and while an engine connects."""
    assert drivers.counts == {"passed": 14}, drivers.text


def test_the_guard_stays_until_the_process_ends(drivers: Outcome) -> None:
    """Handlers at exit, and those of pytest's own end, are told what the moment is."""
    assert "has reached the development database" not in drivers.text
    assert drivers.text.count("DatabaseNotRequested") >= 4
    assert "pytest has ended" in drivers.text


def test_nobody_came(drivers: Outcome, server: Server, names: dict[str, str]) -> None:
    """Nobody sent anything to the development database: there is no table."""
    with (
        closing(server.connect(names["development"])) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select to_regclass('by_pg8000') is null")

        assert cursor.fetchone() == (True,)
