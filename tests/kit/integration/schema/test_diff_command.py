"""``pgsandbox schema diff`` in a project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pgsandbox.servers import Server
from tests.kit import forks
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Project, databases
from tests.kit.integration.recorded import EXAMPLES, normalised, recorded

_MODELS = """
from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    __table_args__ = (CheckConstraint("price > 0", name="price_is_positive"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    price: Mapped[int] = mapped_column(server_default="1")


def seed(session):
    raise RuntimeError("rows are for tests")
"""

_ENV = """
from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="history",
    version_table_schema="bookkeeping",
)
with context.begin_transaction():
    context.get_context().connection.exec_driver_sql("create schema if not exists bookkeeping")
    context.run_migrations()
"""

_MIGRATION = """
from alembic import op

revision, down_revision = "1", None

def upgrade():
    op.execute('''
        create table items (
            id serial primary key,
            price integer not null default 1,
            name varchar not null unique,
            constraint price_is_positive check (price > 0)
        )
    ''')
    op.execute("create table extra (id integer primary key)")
"""

_FILES = {
    "models.py": _MODELS,
    "migrations/env.py": _ENV,
    "migrations/script.py.mako": "",
    "migrations/versions/1_items.py": _MIGRATION,
}

_SETTINGS = """
[tool.pgsandbox]
metadata = "models:Base"
migrations = "migrations"
seed = "models:seed"
server = "embedded"
schema-ignore = [{ object = "public.extra", reason = "the warehouse's own" }]
"""


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """A project whose migrations make what its models say, in another order of columns."""
    project = make_project(_FILES)
    project.configure(_SETTINGS)
    return project


class Outcome:
    """What the command did."""

    def __init__(self, project: Project, *arguments: str, below: str = ".") -> None:
        run = forks.run(
            *("pgsandbox", "schema", "diff", *arguments),
            cwd=Path(project.path, below),
            environ=project.environ(),
            seconds=60,
        )
        self.code, self.out, self.err = run.returncode, run.stdout, run.stderr


def test_models_and_migrations_agree(project: Project, server: Server) -> None:
    """Exit code 0, one line, no database left; the version table and the seed play no part."""
    outcome = Outcome(project)

    assert (outcome.code, outcome.err) == (0, "")
    assert "no findings; 1 ignored" in outcome.out
    assert "the order of columns, which is not compared, differs in public.items" in outcome.out
    assert databases(server, project.name) == []


@pytest.mark.parametrize("table", ["tool.pytest", "tool.pytest.ini_options"])
def test_modules_where_the_tests_find_them(project: Project, table: str) -> None:
    """What pytest's setting pythonpath names comes first, in either of pytest's tables."""
    project.write({"backend/models.py": _MODELS, "models.py": "raise ImportError"})
    places = f'[{table}]\npythonpath = ["backend"]\n'
    project.write({"pyproject.toml": places + _SETTINGS})
    outcome = Outcome(project)

    assert (outcome.code, outcome.err) == (0, "")


def test_the_order_of_columns(project: Project) -> None:
    """It is a finding for those who ask for it."""
    outcome = Outcome(project, "--column-order")

    assert outcome.code == 1, outcome.err
    assert "public.items: table-column-order" in outcome.out


def test_differences(project: Project) -> None:
    """Both definitions and what reconciles them, for people and for programs."""
    changed = _MIGRATION.replace("default 1", "").replace("unique", "")
    project.write({"migrations/versions/1_items.py": changed})
    text, program = Outcome(project), Outcome(project, "--json")
    report = json.loads(program.out)

    assert (text.code, program.code) == (1, 1)
    assert "public.items.price: column-default The default of the column differs." in text.out
    assert "statement   ALTER TABLE public.items ALTER COLUMN price SET DEFAULT 1;" in text.out
    assert [each["code"] for each in report["findings"]] == ["unique-missing", "column-default"]
    assert report["findings"][1]["details"]["migrations"] == "nothing"


def test_an_entry_that_ignores_nothing(project: Project) -> None:
    """It is a finding: what it was for is gone."""
    project.configure(_SETTINGS.replace("public.extra", "public.gone"))
    outcome = Outcome(project)

    assert outcome.code == 1
    assert "public.gone: ignore-unused" in outcome.out
    assert "public.extra: table-unexpected" in outcome.out


def test_no_reason(project: Project) -> None:
    """Nobody can argue with an entry that has none."""
    project.configure(_SETTINGS.replace(', reason = "the warehouse\'s own"', ""))
    outcome = Outcome(project)

    assert outcome.code == 2
    assert "ConfigurationError: schema-ignore cannot be" in outcome.err
    assert "has an entry without reason" in outcome.err


def test_no_migrations(project: Project) -> None:
    """There is nothing to compare with."""
    project.configure(_SETTINGS.replace('migrations = "migrations"', ""))
    outcome = Outcome(project)

    assert outcome.code == 2
    assert "There are no migrations to compare the models with." in outcome.err


def test_migrations_that_fail(project: Project, server: Server) -> None:
    """The message is that of a test run, and no database is left."""
    project.write({"migrations/versions/1_items.py": _MIGRATION.replace("serial", "seral")})
    outcome = Outcome(project)

    assert outcome.code == 2
    assert "SchemaNotBuilt: The schema could not be built from the migrations in" in outcome.err
    assert databases(server, project.name) == []


def test_a_folder_without_a_project(project: Project, tmp_path: Path) -> None:
    """It says where it looked; a folder below the project's root finds the project."""
    project.write({"migrations/empty.txt": ""})
    below = Outcome(project, below="migrations")
    elsewhere = Outcome(project, "--root", str(tmp_path))

    assert below.code == 0
    assert elsewhere.code == 2
    assert "There is no project here that uses pgsandbox." in elsewhere.err


def test_the_output_on_the_site(tmp_path: Path, server: Server) -> None:
    """What the reference shows is what the example prints."""
    shutil.copytree(EXAMPLES / "schema_diff", tmp_path / "shop")
    project = Project(tmp_path / "shop")
    outcome = Outcome(project)
    printed = normalised(outcome.out)

    assert (outcome.code, outcome.err) == (1, "")
    assert printed == recorded("output/schema-diff", printed)
