"""Alembic environments as people really write them migrate the test database, and no other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from pgsandbox.servers import Server
from tests.kit import forks
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET, Project, databases, execute
from tests.kit.nightly import by_night

ITEMS = """
    import sqlalchemy as sa
    from alembic import op

    revision, down_revision = "1", None

    def upgrade():
        op.create_table(
            "items",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String, nullable=False, unique=True),
        )

    def downgrade():
        op.drop_table("items")
"""

CHECKS = "from pgsandbox.plugin.migration_tests import *"

SETTINGS = 'schema = "migrations"\nserver = "embedded"\nmigrations = "migrations"\n'

NOBODY = f"dev:{SECRET}@127.0.0.1:1/<name>"
"""A database that nobody can reach: whoever connects to it fails."""


def diff(project: Project) -> subprocess.CompletedProcess[str]:
    """Run ``pgsandbox schema diff`` in *project*."""
    return forks.run(
        *("pgsandbox", "schema", "diff"),
        cwd=project.path,
        environ=project.environ(),
        seconds=60,
    )


def init(project: Project, template: str, url: str) -> None:
    """Write what ``alembic init`` writes, with *url* where the template has its placeholder."""
    config = Config(str(project.path / "alembic.ini"))
    command.init(config, str(project.path / "migrations"), template=template)
    ini = project.path / "alembic.ini"
    ini.write_text(re.sub(r"driver://\S+", url.replace("<name>", project.name), ini.read_text()))
    project.write({"migrations/versions/1_items.py": ITEMS})


# -- Flask-Migrate ----------------------------------------------------------------------------

SHOP = f"""
    import logging.config
    import os

    from flask import Flask
    from flask_migrate import Migrate
    from flask_sqlalchemy import SQLAlchemy

    db = SQLAlchemy()
    migrate = Migrate(compare_type=True)
    made = []

    def create_app():
        app = Flask(__name__)
        made.append(app)
        logging.config.dictConfig({{"version": 1, "root": {{"level": "DEBUG"}}}})
        app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get(
            "SHOP_URL", "postgresql+psycopg2://{NOBODY}"
        )
        db.init_app(app)
        import shop_models
        migrate.init_app(app, db)
        return app
"""

SHOP_MODELS = """
    from shop import db

    class Item(db.Model):
        __tablename__ = "items"
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String, nullable=False, unique=True)
"""

SHOP_TESTS = """
    import logging

    import pytest
    from shop_models import Item
    from sqlalchemy import text

    @pytest.mark.parametrize("time", range(2))
    def test_a_row(db_session, time):
        db_session.add(Item(name="tea"))
        db_session.commit()
        assert db_session.scalar(text("select version_num from alembic_version")) == "1"

    @pytest.mark.pgsandbox(isolation="clone")
    def test_a_clone(db_session):
        assert db_session.query(Item).count() == 0

    def test_the_app(pgsandbox_app):
        import shop
        assert shop.made == [pgsandbox_app]

    def test_logging():
        assert logging.getLogger().level == logging.WARNING
"""


INIT = "import shop, flask_migrate; shop.create_app().app_context().push(); flask_migrate.init()"


def configure(project: Project, app: str) -> None:
    """Write settings with *app* among them."""
    project.configure(f'[tool.pgsandbox]\nmetadata = "shop:db"\n{app}\n{SETTINGS}')


SHOP_FILES = {"shop.py": SHOP, "shop_models.py": SHOP_MODELS}


@pytest.fixture(scope="module")
def flask_migrate_s_own(make_project: MakeProject) -> Path:
    """The environment that Flask-Migrate writes."""
    project = make_project(SHOP_FILES)
    make = [sys.executable, "-c", INIT]
    subprocess.run(make, cwd=project.path, env=project.environ(), check=True, capture_output=True)
    return project.path / "migrations"


@pytest.fixture
def shop(make_project: MakeProject, flask_migrate_s_own: Path) -> Project:
    """An application with Flask-Migrate, whose models are registered by its factory."""
    project = make_project({**SHOP_FILES, "tests/integration/test_shop.py": SHOP_TESTS})
    configure(project, 'app = "shop:create_app"')
    shutil.copytree(flask_migrate_s_own, project.path / "migrations")
    project.write({"migrations/versions/1_items.py": ITEMS})
    return project


def test_flask_migrate(shop: Project, server: Server) -> None:
    """Its env.py finds the application, which is made once; its pool keeps no clone waiting."""
    outcome = shop.run()

    assert (outcome.code, outcome.counts) == (0, {"passed": 5})
    assert outcome.err == ""
    assert databases(server, shop.name) == []


def test_flask_migrate_in_workers_and_checks(shop: Project) -> None:
    """Templates and the migrations' own checks run in the application's context, too."""
    shop.write({"tests/integration/test_migrations.py": CHECKS})
    outcome = shop.run("-p", "xdist", "-n", "1", "--pg-reuse", "-k", "not the_app")

    assert (outcome.code, outcome.counts) == (0, {"passed": 10, "skipped": 2})


def test_flask_migrate_at_the_command_line(shop: Project) -> None:
    """``schema diff`` finds the models, which nobody but the factory imports."""
    found = diff(shop)
    shop.write({"shop_models.py": f"{SHOP_MODELS}        price = db.Column(db.Integer)\n"})
    changed = diff(shop)

    assert found.stderr == ""
    assert found.returncode == 0
    assert (changed.returncode, "public.items.price" in changed.stdout) == (1, True)


def test_no_context(shop: Project) -> None:
    """The error names the setting that is missing."""
    configure(shop, "")
    outcome = shop.run()

    assert outcome.code == 4
    assert "Working outside of application context" in outcome.err
    assert 'in the setting `app`: app = "package.module:create_app"' in outcome.err


def test_a_database_of_another_kind(shop: Project) -> None:
    """An application that falls back to SQLite has its file left alone, and the run says why."""
    outcome = shop.run(SHOP_URL=f"sqlite:///{shop.path}/dev.db")

    assert outcome.code == 4
    assert "ForeignDatabase: While the schema was built, an engine of sqlite" in outcome.err
    assert "Migrations and the seed run on PostgreSQL" in outcome.err
    assert not (shop.path / "dev.db").exists()


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("shop:fail", "app refers to shop:fail, and calling it failed."),
        ("shop:db", "app gives no application: what is there has no app_context()."),
    ],
)
def test_what_is_no_application(shop: Project, named: str, said: str) -> None:
    """It is said what the setting names, before anything is built."""
    with (shop.path / "shop.py").open("a") as file:
        file.write("\ndef fail():\n    raise RuntimeError('no configuration')\n")
    configure(shop, f'app = "{named}"')
    outcome = shop.run()

    assert outcome.code == 4
    assert said in outcome.err


# -- Alembic's other templates ------------------------------------------------------------------

ROWS = """
    from models import Item
    from sqlalchemy import text

    def test_a_row(db_session):
        db_session.add(Item(name="tea"))
        db_session.commit()
        assert db_session.scalar(text("select count(*) from items")) == 1
"""


@pytest.mark.parametrize(
    ("driver", "arguments"), [("asyncpg", ()), *by_night(("psycopg", ("-p", "xdist", "-n", "1")))]
)
def test_the_asynchronous_template(
    make_project: MakeProject, driver: str, arguments: tuple[str, ...]
) -> None:
    """``async_engine_from_config`` gets the driver of the ini file, and the kit's database."""
    project = make_project({"tests/integration/test_rows.py": ROWS}, SETTINGS)
    init(project, "async", f"postgresql+{driver}://{NOBODY}")
    project.write({"tests/integration/test_migrations.py": CHECKS})
    outcome = project.run(*arguments)

    assert (outcome.code, outcome.counts) == (0, {"passed": 7, "skipped": 2})


ENV = """
    from alembic import context
    from sqlalchemy import create_engine, text

    {before}
    def run(connection):
        context.configure(connection=connection, {options})
        with context.begin_transaction():
            context.run_migrations()

    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", {options})
        with context.begin_transaction():
            context.run_migrations()
    else:
        {online}
"""


def test_settings_of_its_own(make_project: MakeProject, server: Server) -> None:
    """A database that a variable names, and that answers, is left as it is."""
    project = make_project({"tests/integration/test_migrations.py": CHECKS}, SETTINGS)
    env = ENV.format(
        before="import os",
        options="compare_type=True",
        online='with create_engine(os.environ["SHOP_URL"]).connect() as each: run(each)',
    )
    project.write({"migrations/env.py": env, "migrations/versions/1_items.py": ITEMS})
    name = f"{project.name}_dev"
    execute(server, "create database {}", name)
    url = server.url_of(name).render_as_string(hide_password=False)
    outcome = project.run(SHOP_URL=url)
    with closing(server.connect(name)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_class where relname in ('items', 'alembic_version')"
        )
        [(tables,)] = cursor.fetchall()
    execute(server, "drop database {}", name)

    assert (outcome.code, outcome.counts) == (0, {"passed": 6, "skipped": 2})
    assert tables == 0


@pytest.mark.parametrize("driver", ["psycopg", *by_night("psycopg2", "asyncpg")])
def test_an_extension_that_is_not_there(make_project: MakeProject, driver: str) -> None:
    """The remedy is another server, by whichever driver the environment has asked for it."""
    project = make_project({"tests/integration/test_rows.py": ROWS}, SETTINGS)
    if driver == "asyncpg":
        init(project, "async", f"postgresql+{driver}://{NOBODY}")
    else:
        url = f"postgresql+{driver}://{NOBODY}"
        online = f'with create_engine("{url}").connect() as each: run(each)'
        project.write(
            {"migrations/env.py": ENV.format(before="", options="compare_type=True", online=online)}
        )
    items = ITEMS.replace(
        "op.create_table", 'op.execute("create extension postgis")\n    op.create_table', 1
    )
    project.write({"migrations/versions/1_items.py": items})
    outcome = project.run()

    assert outcome.code == 4
    assert 'extension "postgis" is not available' in outcome.err
    assert "PGSANDBOX_BINDIR" in outcome.err


def test_a_schema_for_the_versions(make_project: MakeProject) -> None:
    """It is Alembic's, whatever its name: nothing that a downgrade has left."""
    project = make_project({"tests/integration/test_migrations.py": CHECKS}, SETTINGS)
    env = ENV.format(
        before="create = text('create schema if not exists \"Meta Data\"')",
        options='version_table_schema="Meta Data", version_table="Done"',
        online='given = context.config.attributes["connection"]; given.execute(create);'
        " given.commit(); run(given)",
    )
    project.write({"migrations/env.py": env, "migrations/versions/1_items.py": ITEMS})
    outcome = project.run("-k", "not offline")

    assert (outcome.code, outcome.counts) == (0, {"passed": 5, "skipped": 2, "deselected": 1})


SECTIONS = """
    [alembic]
    script_location = migrations
    [billing]
    script_location = %(here)s/billing
    sqlalchemy.url = postgresql+psycopg://nobody@127.0.0.1:1/%(NAME)s
    version_locations = %(here)s/billing/versions
"""


@pytest.mark.nightly
def test_a_section_of_the_ini_file(make_project: MakeProject) -> None:
    """What ``alembic -n billing`` runs builds the database of a bind."""
    project = make_project({"alembic.ini": SECTIONS, "tests/integration/test_rows.py": ROWS})
    given = 'with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as c:'
    env = ENV.format(before="", options="", online=f"{given} run(c)")
    project.write({"migrations/env.py": env, "migrations/versions/1_items.py": ITEMS})
    bills = ITEMS.replace("items", "bills")
    project.write({"billing/env.py": env, "billing/versions/1_bills.py": bills})
    project.write(
        {
            "tests/integration/test_bill.py": """
                def test_it(pg):
                    count = "select count(*) from bills"
                    assert pg.outside(count, of="billing") == 0
            """,
            "tests/integration/test_migrations.py": CHECKS,
        }
    )
    project.configure(
        '[tool.pgsandbox]\nmetadata = "models:Base"\nserver = "embedded"\n'
        'schema = "migrations"\nmigrations = "alembic.ini"\n'
        "[tool.pgsandbox.binds.billing]\n"
        'metadata = "models:Base"\nschema = "migrations"\nmigrations = "alembic.ini:billing"'
    )
    outcome = project.run("-k", "not models_say and not offline")

    assert (outcome.code, outcome.counts) == (0, {"passed": 6, "skipped": 2, "deselected": 2})


def test_a_section_that_there_is_not(make_project: MakeProject) -> None:
    """It is not taken for the name of a file."""
    project = make_project(
        {"alembic.ini": SECTIONS},
        SETTINGS.replace('= "migrations"\nserver', '= "metadata"\nserver').replace(
            '"migrations"', '"alembic.ini:bills"'
        ),
    )
    outcome = project.run()

    assert outcome.code == 4
    assert "alembic.ini:name is a section in that" in outcome.err


def test_several_databases_in_one_go(make_project: MakeProject) -> None:
    """All are one while it is built: that does not wait for ever, and says what to write."""
    project = make_project({"tests/integration/test_rows.py": ROWS}, SETTINGS)
    init(project, "multidb", f"postgresql+psycopg2://{NOBODY}")
    one_of_both = ITEMS.replace("def upgrade():", "def upgrade(engine_name):")
    project.write({"migrations/versions/1_items.py": one_of_both})
    outcome = project.run()

    assert outcome.code == 4
    assert "canceling statement due to lock timeout" in outcome.err
    assert "Two connections of the environment wait for each other." in outcome.err
