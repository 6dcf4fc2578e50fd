"""What people meet who bring a project of their own: how it goes on, what messages say."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET, Outcome
from tests.kit.nightly import by_night

_FILES = {
    "application.py": f"""
        import os

        from sqlalchemy import create_engine, text

        URL = "postgresql+psycopg2://dev:{SECRET}@127.0.0.1:1/<name>"
        engine = create_engine(URL)

        class Application:
            def app_context(self):
                return engine.connect()

        def create_app():
            with engine.begin() as connection:
                for statement in os.environ.get("AT_START", "select 1").split(";"):
                    connection.execute(text(statement))
            return Application()
    """,
    "tests/integration/test_it.py": """
        import pytest
        from alembic.config import Config
        from application import create_app
        from models import Base, Item
        from sqlalchemy import create_engine, func, select, text
        from sqlalchemy.orm import Mapped, mapped_column

        def test_url_for_ini_files(pg):
            Config().set_main_option("sqlalchemy.url", pg.url)
            with create_engine(pg.url).connect() as connection:
                assert connection.scalar(text("select count(*) from items")) is not None

        @pytest.mark.pgsandbox(isolation="clone")
        def test_url_for_ini_files_in_a_clone(pg):
            Config().set_main_option("sqlalchemy.url", pg.url)

        def test_rows(pgsandbox_app, db_session):
            names = db_session.scalars(select(Item.name)).all()
            assert names == (["seeded"] if pgsandbox_app else [])

        def test_another_database(pg):
            create_engine("postgresql+psycopg2://127.0.0.1/production").connect()

        def test_late_model(db_session):
            class Late(Base):
                __tablename__ = "late"
                id: Mapped[int] = mapped_column(primary_key=True)

            db_session.scalar(select(func.count(Late.id)))

        def test_no_model(db_session):
            db_session.execute(text("select * from nobodys"))

        def test_drops_a_database(db_engine):
            engine = db_engine.execution_options(isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text("DROP DATABASE IF EXISTS shop_test"))
    """,
}
_MAKES = "create table if not exists items (id serial primary key, name text unique not null)"
_SEEDS = "insert into items (name) values ('seeded') on conflict do nothing"
_SETTINGS = 'url = "application:URL"\nredirect = true'


@pytest.fixture(scope="module")
def outcome(make_project: MakeProject) -> Outcome:
    """What the tests of a project without an application said."""
    return make_project(_FILES, _SETTINGS).run("-p", "no:randomly")


def test_urls_can_be_given_to_alembic(outcome: Outcome) -> None:
    """They hold no %, which an ini file takes for the beginning of a name."""
    assert outcome.counts == {"passed": 3, "failed": 4}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test_another_database", "`redirect` sends connections to the database that the setting"),
        ("test_late_model", 'The model of the table "late" was registered after the schema'),
        ("test_no_model", 'No model that the setting metadata leads to has the table "nobodys"'),
        ("test_drops_a_database", "the tests can be deleted: pgsandbox does that"),
    ],
)
def test_a_message_says_what_to_do(outcome: Outcome, name: str, words: str) -> None:
    """And not what is done already."""
    said = outcome.section(name)

    assert words in said
    assert "set `redirect = true`" not in said


@pytest.mark.parametrize(
    "at_start",
    [
        pytest.param(_SEEDS, id="seeds", marks=pytest.mark.nightly),
        pytest.param(f"{_MAKES};{_SEEDS}", id="makes tables"),
    ],
)
@pytest.mark.parametrize(
    "arguments", [(), *by_night((("-p", "xdist", "-n", "2"),), (("--pg-reuse",),))]
)
def test_an_application_may_use_its_database_when_it_is_made(
    make_project: MakeProject, arguments: tuple[str, ...], at_start: str
) -> None:
    """It reaches the database that is being built, and what it writes is there for every test."""
    project = make_project(_FILES, f'{_SETTINGS}\napp = "application:create_app"')

    run = project.run("-k", "rows or ini", *arguments, AT_START=at_start)

    assert (run.counts["passed"], run.counts.get("failed", 0)) == (3, 0), run.text


def test_an_application_that_can_not_be_made_is_the_settings_fault(
    make_project: MakeProject,
) -> None:
    """The message names `app`, and no test."""
    project = make_project(_FILES, f'{_SETTINGS}\napp = "application:create_app"')

    run = project.run(AT_START="select * from nowhere")

    assert run.code == 4
    assert "app refers to application:create_app, and calling it failed." in run.text
    assert "nowhere" in run.text


def test_metadata_without_a_table_is_an_error(make_project: MakeProject) -> None:
    """A model that nobody has imported has no table, and the message says so."""
    bare = "from sqlalchemy.orm import DeclarativeBase\n\nclass Base(DeclarativeBase):\n    pass\n"
    project = make_project(
        {"models.py": bare, "tests/integration/test_it.py": "def test_it(db_session): pass"}
    )

    run = project.run()

    assert run.code == 4
    assert "ConfigurationError: The metadata holds no table" in run.text
    assert "name in the setting seed a callable" in run.text


def test_a_suite_that_makes_its_own_tables_has_a_seed(make_project: MakeProject) -> None:
    """As the message for metadata without a table says; the seed may do nothing."""
    none = "from sqlalchemy import MetaData\n\nBase = MetaData()\n\ndef seed(session):\n    pass\n"
    test = "def test_{}(db_session):\n    db_session.execute(text('create table t ()'))\n"
    tests = ["from sqlalchemy import text\n", test.format("one"), test.format("two")]
    project = make_project(
        {"models.py": none, "tests/integration/test_it.py": "\n".join(tests)},
        'seed = "models:seed"',
    )

    run = project.run()

    assert run.counts["passed"] == 2, run.text


def test_two_tables_of_one_name_are_an_error(make_project: MakeProject) -> None:
    """The second would be left out in silence, and its models would miss a column."""
    model = """
        from sqlalchemy import MetaData
        from sqlalchemy import Column, Integer, Table

        metadata = MetaData()
        Table("users", metadata, Column("id", Integer, primary_key=True){0})
    """
    project = make_project(
        {
            "models.py": model.format(""),
            "others.py": model.format(', Column("age", Integer)'),
            "tests/integration/test_it.py": "def test_it(db_session): pass",
        }
    )
    project.configure('[tool.pgsandbox]\nmetadata = ["models:metadata", "others:metadata"]\n')

    run = project.run()

    assert run.code == 4
    assert "The metadata has two tables of one name" in run.text
    assert "one has no column age" in run.text


def test_a_statement_that_is_refused_when_it_is_read(make_project: MakeProject) -> None:
    """asyncpg has the server read each statement before it runs it."""
    project = make_project(
        {
            "tests/integration/test_it.py": """
                import asyncio
                from sqlalchemy import text
                from sqlalchemy.ext.asyncio import create_async_engine

                def test_it(pg):
                    asyncio.run(insert(pg.url))

                async def insert(url):
                    async with create_async_engine(url).connect() as connection:
                        await connection.execute(text("select 1"))
                        await connection.execute(text("select nothing"))
            """
        },
        'url = "postgresql+asyncpg://localhost/shop"',
    )

    report = project.run().section("test_it").partition("what PostgreSQL saw")[2]

    assert "refused: select nothing  tests/integration/test_it.py:11" in report
    assert 'column "nothing" does not exist' in report
    assert "select 1  [1 row]" in report


def test_a_report_with_nothing_to_tell_is_left_out(make_project: MakeProject) -> None:
    """The test has sent nothing but what begins and ends a transaction."""
    project = make_project(
        {
            "tests/integration/test_it.py": """
                def test_it(db_engine):
                    with db_engine.connect() as connection:
                        connection.exec_driver_sql("begin")
                        assert connection.closed
            """
        }
    )

    run = project.run()

    assert run.counts == {"failed": 1}
    assert "what PostgreSQL saw" not in run.text
