"""A schema that is built by Alembic's migrations, in environments as people have them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import MODELS, SECRET, Project, databases

_OWN_URL = f"postgresql+psycopg2://dev:{SECRET}@127.0.0.1:1/<name>"

_FILES = {
    "application.py": f"""
        from sqlalchemy import create_engine

        engine = create_engine("{_OWN_URL}", pool_pre_ping=True)
    """,
    "conftest.py": """
        import logging

        logging.getLogger("shop").setLevel(logging.INFO)
    """,
    "tests/integration/test_migrated.py": """
        import logging

        import pytest
        from models import Item
        from sqlalchemy import delete, select, text

        @pytest.mark.parametrize("time", range(2))
        def test_rows_of_migration_and_seed(db_session, pg, time):
            assert sorted(db_session.scalars(select(Item.name))) == ["rum", "tea"]
            db_session.execute(delete(Item))
            db_session.commit()
            assert pg.outside("select count(*) from items") == 2

        def test_every_head(db_session):
            versions = db_session.scalars(text("select version_num from alembic_version")).all()
            assert sorted(versions) == ["2a", "2b"]
            assert db_session.scalar(text("select count(*) from left_ones, right_ones")) == 0

        def test_logging(caplog):
            root, shop = logging.getLogger(), logging.getLogger("shop")
            assert (root.level, shop.level, shop.disabled) == (logging.WARNING, logging.INFO, False)
            assert [type(each).__name__ for each in root.handlers if "Stream" in str(each)] == []
            shop.info("said in a test")
            assert caplog.messages == ["said in a test"]
    """,
    "migrations/versions/1_items.py": """
        import sqlalchemy as sa
        from alembic import op

        revision, down_revision = "1", None

        def upgrade():
            items = op.create_table(
                "items",
                sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("name", sa.String, nullable=False, unique=True),
            )
            op.bulk_insert(items, [{"name": "tea"}])
    """,
    "migrations/versions/2_left.py": """
        from alembic import op

        revision, down_revision = "2a", "1"

        def upgrade():
            op.execute("create table left_ones ()")
    """,
    "migrations/versions/2_right.py": """
        from alembic import op

        revision, down_revision = "2b", "1"

        def upgrade():
            op.execute("create table right_ones ()")
    """,
}

# As Flask-Migrate writes it, without Flask: logging always, and the application's own engine.
_ENV_WITH_ITS_OWN_ENGINE = """
import logging
from logging.config import fileConfig

from alembic import context
from application import engine

fileConfig(context.config.config_file_name)
logger = logging.getLogger("alembic.env")
context.config.set_main_option(
    "sqlalchemy.url", engine.url.render_as_string(hide_password=False).replace("%", "%%")
)

with engine.connect() as connection:
    logger.info("connected")
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

_ENV_WITH_THE_GIVEN_CONNECTION = """
from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""

_SEED = """
def seed(session):
    session.add(Item(name="rum"))
"""

_SETTINGS = 'schema = "migrations"\nseed = "models:seed"\nserver = "embedded"\n'


def _init(path: Path) -> None:
    """Write what ``alembic init migrations`` writes, in the way of older versions of Alembic.

    The place of the scripts is relative, and Alembic warns because a newer line is missing.
    """
    config = Config(str(path / "alembic.ini"))
    command.init(config, str(path / "migrations"))
    ini = (path / "alembic.ini").read_text()
    ini = re.sub("^script_location = .*", "script_location = migrations", ini, flags=re.MULTILINE)
    ini = re.sub("^path_separator = .*", "", ini, flags=re.MULTILINE)
    (path / "alembic.ini").write_text(ini)


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """A project with a history of two heads, in an environment as ``alembic init`` makes it."""
    project = make_project({"models.py": MODELS + _SEED}, f'{_SETTINGS}migrations = "migrations"')
    _init(project.path)
    project.write(_FILES)
    return project


def test_an_environment_as_alembic_makes_it(project: Project, server: Server) -> None:
    """Rows and tables of all heads are in every test; logging and the log file are unharmed."""
    outcome = project.run("--log-file=log.txt")

    assert (outcome.code, outcome.counts) == (0, {"passed": 4})
    assert "said in a test" in (project.path / "log.txt").read_text()
    assert "Running upgrade" not in outcome.text
    assert outcome.err == ""
    assert databases(server, project.name) == []


@pytest.mark.parametrize("env", [_ENV_WITH_ITS_OWN_ENGINE, _ENV_WITH_THE_GIVEN_CONNECTION])
def test_an_environment_of_their_own(project: Project, env: str) -> None:
    """One that connects to the application's own URL migrates the test database all the same."""
    project.write({"migrations/env.py": env})
    outcome = project.run()

    assert (outcome.code, outcome.counts) == (0, {"passed": 4})
    assert outcome.err == ""


def test_an_ini_file_in_a_folder_of_its_own(project: Project) -> None:
    """Its relative place starts where ``alembic -c conf/alembic.ini`` is called."""
    (project.path / "conf").mkdir()
    (project.path / "alembic.ini").rename(project.path / "conf/alembic.ini")
    project.configure(
        f'[tool.pgsandbox]\nmetadata = "models:Base"\n{_SETTINGS}migrations = "conf/alembic.ini"'
    )
    outcome = project.run()

    assert (outcome.code, outcome.counts) == (0, {"passed": 4})


def test_the_ini_file_from_below(project: Project) -> None:
    """An ini file's relative place starts at the file, wherever pytest is run; in workers, too."""
    project.configure(
        f'[tool.pgsandbox]\nmetadata = "models:Base"\n{_SETTINGS}migrations = "alembic.ini"',
        'filterwarnings = ["error"]',
    )
    outcome = project.run("-p", "xdist", "-n", "1", below="tests")

    assert (outcome.code, outcome.counts) == (0, {"passed": 4})


def test_a_migration_that_fails(project: Project, server: Server) -> None:
    """The message has the statement and the line of the migration; nothing is left."""
    project.write(
        {
            "migrations/versions/3_broken.py": """
                from alembic import op

                revision, down_revision = "3", ("2a", "2b")

                def upgrade():
                    op.execute("alter table itms add column price int")
            """
        }
    )
    outcome = project.run()

    assert outcome.code == 4
    assert "SchemaNotBuilt: The schema could not be built from the migrations in" in outcome.err
    assert 'relation "itms" does not exist' in outcome.err
    assert "alter table itms add column price int" in outcome.err
    assert re.search("output .*Running upgrade 2., 2. -> 3", outcome.err, re.DOTALL)
    assert re.search(r"raised at +migrations/versions/3_broken.py:6", outcome.err)
    assert databases(server, project.name) == []


@pytest.mark.parametrize(
    "line",
    [
        "fileConfig(context.config.config_file_name)",
        "open(context.config.config_file_name)",
        "context.config.config_file_name.strip()",
    ],
)
def test_an_environment_that_reads_an_ini_file_which_is_not_there(
    project: Project, line: str
) -> None:
    """The message names the cause and both cures, and not extensions or an application."""
    (project.path / "alembic.ini").unlink()
    own = _ENV_WITH_ITS_OWN_ENGINE.replace("fileConfig(context.config.config_file_name)", line)
    project.write({"migrations/env.py": own})
    outcome = project.run()

    assert outcome.code == 4
    assert "env.py reads config.config_file_name, which is None: `migrations` names a" in (
        outcome.err
    )
    assert 'migrations = "path/to/alembic.ini"' in outcome.err
    assert "if config.config_file_name is not None: fileConfig" in outcome.err
    assert "create_app" not in outcome.err


def test_another_error_of_an_environment_without_an_ini_file_is_its_own(project: Project) -> None:
    """A TypeError of the migrations' own is not taken for it."""
    (project.path / "alembic.ini").unlink()
    project.write({"migrations/env.py": "len(None)"})
    outcome = project.run()

    assert outcome.code == 4
    assert "SchemaNotBuilt" in outcome.err
    assert "config_file_name" not in outcome.err
