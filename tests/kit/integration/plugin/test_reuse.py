"""A schema that was built once serves later runs, until anything that it depends on changes."""

from __future__ import annotations

import os
import signal
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pgsandbox import config, databases, schema, servers
from pgsandbox.servers import Server, places
from pgsandbox.wiring import template_specifications
from tests.kit.external import External, external_server
from tests.kit.integration.plugin import projects
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project
from tests.kit.nightly import by_night

_FILES = {
    "seeding.py": """
        import os
        from pathlib import Path

        from models import Item
        from rows import ROWS

        HERE = Path(__file__).parent

        def load(session):
            with (HERE / "builds.log").open("a") as log:
                log.write("built\\n")
            names = [*ROWS, (HERE / "row.txt").read_text(), os.environ.get("SHOP_ROW", "none")]
            session.add_all(Item(name=name) for name in names)
    """,
    "rows.py": "ROWS = ['tea']\n",
    "row.txt": "milk",
    "conftest.py": "",
    "tests/integration/test_items.py": """
        from models import Item
        from sqlalchemy import select

        def test_items(db_session):
            print("rows:", *db_session.scalars(select(Item.name).order_by(Item.id)))
    """,
}

_MIGRATION = """
revision = "0001"
down_revision = None

def upgrade():
    from pathlib import Path

    from alembic import op
    op.execute(Path(__file__).with_name("items.sql").read_text())
"""

_MIGRATED = {
    "migrations/env.py": """
        from pathlib import Path

        from alembic import context

        with Path("builds.log").open("a") as log:
            log.write("built\\n")
        context.configure(connection=context.config.attributes["connection"])
        with context.begin_transaction():
            context.run_migrations()
    """,
    "migrations/script.py.mako": "",
    "migrations/versions/0001_items.py": _MIGRATION,
    "migrations/versions/items.sql": "create table items (id serial, name text)",
    "tests/integration/test_items.py": """
        from sqlalchemy import inspect

        def test_items(db_connection):
            columns = inspect(db_connection).get_columns("items")
            print("columns:", *(each["name"] for each in columns))
    """,
}


@pytest.fixture(scope="module")
def quiet() -> Iterator[External]:
    """A server on which nobody else reaps."""
    with external_server() as server:
        yield server


@dataclass
class Runs:
    """A project, and its runs one after the other."""

    project: Project
    url: str

    def run(self, *arguments: str, is_fresh: bool = False, **environ: str) -> Outcome:
        """One more run, which passes."""
        outcome = self.project.run(
            "--pg-reuse",
            "-s",
            "-p",
            "no:randomly",
            *arguments,
            is_fresh=is_fresh,
            TEST_DATABASE_URL=self.url,
            **environ,
        )
        assert outcome.code == 0
        return outcome

    @property
    def builds(self) -> int:
        """How many runs have built the schema so far."""
        return (self.project.path / "builds.log").read_text().count("built")

    def change(self, name: str, text: str) -> None:
        """Change a file of the project."""
        self.project.write({name: text})


def said(outcome: Outcome, word: str) -> list[str]:
    """What the test of a run printed after *word*."""
    (line,) = (line for line in outcome.out.splitlines() if word in line)
    return line.partition(word)[2].split()


@pytest.fixture(scope="module")
def make_runs(make_project: MakeProject, quiet: External) -> Callable[..., Runs]:
    """Make a project whose schema was built by a first run."""

    def make(files: dict[str, str], settings: str) -> Runs:
        project = make_project(files, settings)
        url = quiet.url.set(database=f"{project.name}_test")
        runs = Runs(project, url.render_as_string(hide_password=False))
        runs.run()
        return runs

    return make


@pytest.fixture(scope="module")
def seeded(make_runs: Callable[..., Runs]) -> Runs:
    """A schema from metadata, with a seed."""
    return make_runs(_FILES, 'seed = "seeding:load"')


@pytest.fixture(scope="module")
def migrated(make_runs: Callable[..., Runs]) -> Runs:
    """A schema from migrations."""
    return make_runs(_MIGRATED, 'schema = "migrations"\nmigrations = "migrations"')


def test_the_second_run_builds_nothing(seeded: Runs) -> None:
    """Nor does one of two workers, which find what a single process has built."""
    first = seeded.run(is_fresh=True)
    before = seeded.builds
    again = seeded.run(is_fresh=True)
    seeded.run("-p", "xdist", "-n", "2")

    assert said(again, "rows:") == said(first, "rows:") != []
    assert seeded.builds == before


_MODELS = projects.MODELS + "    price: Mapped[int] = mapped_column(server_default='1')\n"
_LISTENER = """
from models import Base
from sqlalchemy import DDL, event

event.listen(Base.metadata, "after_create", DDL("create view names as select name from items"))
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("models.py", _MODELS),
        ("seeding.py", textwrap.dedent(_FILES["seeding.py"]).replace("*ROWS", "*ROWS, 'water'")),
        *by_night(
            ("rows.py", "ROWS = ['coffee']\n"),
            ("row.txt", "cream"),
            ("conftest.py", _LISTENER),
        ),
    ],
    ids=["model", "seed", "module of the seed", "file of the seed", "listener"],
)
def test_a_change_builds_anew(seeded: Runs, name: str, text: str) -> None:
    """Each by itself, and the run after it builds nothing."""
    before = seeded.builds
    seeded.change(name, text)
    seeded.run()
    after_the_change = seeded.builds
    seeded.run()

    assert after_the_change == before + 1
    assert seeded.builds == after_the_change


def test_a_variable_of_the_seed_builds_anew(seeded: Runs) -> None:
    """The code names it, so that its value is part of the address."""
    before = seeded.builds
    changed = seeded.run(SHOP_ROW="sugar")

    assert " sugar\n" in changed.out
    assert seeded.builds == before + 1


def test_a_changed_test_builds_nothing(seeded: Runs) -> None:
    """Tests are what changes between two runs most of the time."""
    before = seeded.builds
    seeded.change("tests/integration/test_more.py", "def test_more(db_session): pass\n")
    seeded.run()

    assert seeded.builds == before


@pytest.mark.parametrize(
    ("name", "old", "new", "column"),
    [
        ("migrations/versions/items.sql", "name text", "name text, a int", "a"),
        (
            "migrations/versions/0001_items.py",
            "read_text())",
            "read_text() + '; alter table items add b int')",
            "b",
        ),
        (
            "migrations/env.py",
            "run_migrations()",
            "run_migrations(); context.execute('alter table items add c int')",
            "c",
        ),
    ],
    ids=["sql", "migration", "environment"],
)
def test_a_changed_migration_builds_anew(
    migrated: Runs, name: str, old: str, new: str, column: str
) -> None:
    """A template that hides a broken migration would be worse than none."""
    file = migrated.project.path / name
    file.write_text(file.read_text().replace(old, new))
    changed = migrated.run()

    assert column in said(changed, "columns:")


def test_a_migration_that_became_broken_fails(migrated: Runs) -> None:
    """Although a template of its former self is there."""
    file = migrated.project.path / "migrations/versions/items.sql"
    text = file.read_text()
    file.write_text(f"{text}, primary key (nothing))")
    outcome = migrated.project.run("--pg-reuse", TEST_DATABASE_URL=migrated.url)
    file.write_text(text)

    assert outcome.code == 4
    assert "SchemaNotBuilt" in outcome.err


def test_a_seed_that_starts_a_program_is_not_kept(make_runs: Callable[..., Runs]) -> None:
    """What the program read can't be compared, so that every run builds, and says why."""
    seed = textwrap.dedent(_FILES["seeding.py"]).replace(
        "    names =", "    import subprocess; subprocess.run(['true'], check=True)\n    names ="
    )
    runs = make_runs({**_FILES, "seeding.py": seed}, 'seed = "seeding:load"')
    again = runs.run()

    assert runs.builds == 2
    assert "is not kept for later runs: while it was built, it started a program" in again.out


@pytest.fixture
def given(quiet: External) -> Server:
    """The server as pgsandbox sees it."""
    return servers.given(quiet.url, reason="a test", source="TEST_DATABASE_URL")


@pytest.fixture
def settings(make_project: MakeProject) -> config.Settings:
    """The settings of a small project."""
    found = config.read(make_project({}).path, {}, {})
    assert found is not None
    return found


def test_versions_are_part_of_the_address(
    given: Server, settings: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kit's own, the server's, and those of its extensions."""
    builder = schema.MetadataBuilder([])
    usual = template_specifications.fingerprint_of(builder, settings, given)
    other_kit = template_specifications.fingerprint_of(builder, settings, given, version="9.9")
    said = databases.circumstances
    monkeypatch.setattr(
        databases,
        "circumstances",
        lambda connection: [
            (name, value.replace("PostgreSQL 18", "PostgreSQL 19"))
            for name, value in said(connection)
        ],
    )
    other_server = template_specifications.fingerprint_of(builder, settings, given)

    assert len({usual, other_kit, other_server}) == 3


def test_extensions_are_part_of_the_address(given: Server, settings: config.Settings) -> None:
    """Those that are created, and which versions the server has of all."""
    without = template_specifications.fingerprint_of(schema.MetadataBuilder([]), settings, given)
    with_one = template_specifications.fingerprint_of(
        schema.MetadataBuilder([], ("vector",)), settings, given
    )
    with databases.administration(given) as connection:
        names = dict(databases.circumstances(connection))

    assert without != with_one
    assert names["extension plpgsql"] == "1.0"


def test_an_embedded_server_waits_for_the_next_run(make_project: MakeProject) -> None:
    """It keeps the template, for ten minutes at most, and the newest run counts."""
    project = make_project(_FILES, 'seed = "seeding:load"')
    with places.private_folder() as private:
        others = set(private.glob("*/users.lingers"))
    with tempfile.TemporaryDirectory(prefix="pgl-") as cache:  # and hence a server of its own
        arguments = ("--pg-reuse", "--pg-server=embedded")
        runs = [project.run(*arguments, XDG_CACHE_HOME=cache) for _ in range(2)]
        (newest,) = set(private.glob("*/users.lingers")) - others
        os.kill(int(newest.read_text()), signal.SIGTERM)
        deadline = time.monotonic() + 20
        while newest.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        stopped = not newest.exists()

    assert [run.code for run in runs] == [0, 0]
    assert (project.path / "builds.log").read_text() == "built\n"
    assert stopped
