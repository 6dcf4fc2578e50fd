"""Factories that nobody kept up with their models: each fault is named, with its place and cure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pgsandbox.factories.findings import CODES
from tests.kit.integration.factories.commands import run
from tests.kit.integration.plugin.projects import Project
from tests.kit.integration.recorded import EXAMPLES, normalised, recorded
from tests.kit.nightly import by_night

FACTORIES = "tests/integration/factories.py"
IGNORES = """factories-ignore = [
    { object = "Invoice", reason = "nobody writes one" },
    { object = "Order", finding = "no-factory", reason = "matches nothing" },
]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example outside of the checkout."""
    path = tmp_path_factory.mktemp("example") / "untended"
    shutil.copytree(EXAMPLES / "untended", path)
    return path


@pytest.fixture(scope="module")
def checked(project: Path) -> CompletedProcess[str]:
    """What the command says of it."""
    return run(project, "check")


def test_what_is_printed_is_on_the_site(checked: CompletedProcess[str]) -> None:
    """The page shows the same lines."""
    said = normalised(checked.stdout)

    assert checked.returncode == 1
    assert said == recorded("output/factories-check", said)


@pytest.mark.parametrize("code", CODES)
def test_the_example_has_every_fault(checked: CompletedProcess[str], code: str) -> None:
    """Whoever reads its output has seen them all."""
    assert f": {code} " in checked.stdout


def test_a_finding_names_class_field_file_line_and_cure(project: Path) -> None:
    """Programs get the same as people."""
    report = json.loads(run(project, "check", "--json").stdout)
    (found,) = [each for each in report["findings"] if each["code"] == "repeated"]
    line = (project / FACTORIES).read_text().splitlines()[found["line"] - 1]

    assert (found["subject"], found["path"]) == ("ProductFactory.sku", FACTORIES)
    assert line == '    sku = "A-1"'
    assert found["remedy"] == "Feed sku from factory.Sequence."


def test_the_ready_made_test_says_the_same(
    project: Path, checked: CompletedProcess[str], tmp_path: Path
) -> None:
    """In the sandbox, where the application's own session is in the same transaction."""
    file = project / "tests/integration/test_every_factory.py"
    shutil.copy(EXAMPLES / "factories/tests/integration/test_every_factory.py", file)
    outcome = Project(project).run("-p", "no:randomly")
    file.unlink()
    section = outcome.section("test_factories_make_what_the_models_say")
    codes = [line.split()[1] for line in checked.stdout.splitlines() if line.startswith("tests/")]

    assert outcome.counts == {"failed": 1}
    assert [line.split()[1] for line in section.splitlines() if line.startswith("tests/")] == codes


def test_what_a_project_lives_with_is_not_told(project: Path, tmp_path: Path) -> None:
    """Each entry needs a reason, and one that matches nothing is told."""
    path = tmp_path / "untended"
    shutil.copytree(project, path)
    settings = path / "pyproject.toml"
    settings.write_text(settings.read_text() + IGNORES)
    ended = run(path, "check")

    assert "No factory makes objects of Invoice" not in ended.stdout
    assert "Order: ignore-unused The entry in factories-ignore matches nothing" in ended.stdout


def test_the_modules_may_be_named(project: Path, tmp_path: Path) -> None:
    """Where the factories are somewhere else, a setting says where."""
    path = tmp_path / "untended"
    shutil.copytree(project, path)
    (path / FACTORIES).rename(path / "shop/making.py")
    nowhere = run(path, "check")
    settings = path / "pyproject.toml"
    settings.write_text(settings.read_text() + 'factories = ["shop.making"]\n')
    named = run(path, "check")

    assert (nowhere.returncode, named.returncode) == (2, 1)
    assert "ConfigurationError: There are no factories to check." in nowhere.stderr
    assert "shop/making.py:38: repeated" in named.stdout


TWO_DATABASES = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Audits(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)


class Entry(Audits):
    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    said: Mapped[str] = mapped_column(unique=True)
"""


def test_the_tables_of_a_bind_are_tried_in_its_database(tmp_path: Path) -> None:
    """They are not in the project's own."""
    (tmp_path / "models.py").write_text(TWO_DATABASES)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pgsandbox]\nmetadata = "models:Base"\n'
        '[tool.pgsandbox.binds.audit]\nmetadata = "models:Audits"\n'
    )
    run(tmp_path, "generate")
    good = run(tmp_path, "check")
    file = tmp_path / FACTORIES
    file.write_text(file.read_text().replace('factory.Sequence(lambda n: f"said-{n}")', '"same"'))
    bad = run(tmp_path, "check")

    assert good.stdout == "2 factories of 2 mapped classes checked: no findings.\n"
    assert "repeated The second object of EntryFactory repeats a value" in bad.stdout


@pytest.mark.parametrize("driver", ["asyncpg", *by_night("psycopg")])
def test_the_ready_made_test_passes_on_every_driver(driver: str, tmp_path: Path) -> None:
    """The application's own driver adapts the values."""
    path = tmp_path / "shop"
    shutil.copytree(EXAMPLES / "factories", path)
    settings = path / "pyproject.toml"
    url = f'url = "postgresql+{driver}://app@localhost/shop"\n'
    settings.write_text(settings.read_text() + url)
    outcome = Project(path).run("-p", "no:randomly")

    assert outcome.counts == {"passed": 1}
