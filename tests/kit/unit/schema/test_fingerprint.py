"""What changes the address of a template, and what does not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pgsandbox.schema.fingerprint import (
    Fingerprint,
    distributions,
    loaded_files,
    project_files,
)

MakeDigest = Callable[..., str]

FILES = {
    "shop/models.py": "TABLE = 'items'",
    "shop/seed.py": "ROWS = 1",
    "migrations/env.py": "run = True",
    "migrations/versions/0001.sql": "create table items ()",
    "alembic.ini": "[alembic]",
    "config.yaml": "rows: 1",
    ".env": "ROWS=1",
    "tests/integration/conftest.py": "listeners = []",
    "tests/integration/factories.py": "class Factory: pass",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a file of each kind that counts."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


@pytest.fixture
def digest(root: Path) -> MakeDigest:
    """The digest of the project's files and of an environment."""

    def digest(**environ: str) -> str:
        fingerprint = Fingerprint()
        for file in project_files(root):
            fingerprint.add_file(file, root)
        fingerprint.add_environment(environ, but=["SHOP_URL"])
        return fingerprint.hexdigest()

    return digest


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_counts(root: Path, digest: MakeDigest, name: str) -> None:
    """Code, SQL, configuration, and what tests share."""
    before = digest()
    (root / name).write_text(f"{FILES[name]} # changed")

    assert digest() != before


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_counts(root: Path, digest: MakeDigest, name: str) -> None:
    """As does one that was renamed."""
    before = digest()
    (root / name).unlink()

    assert digest() != before


@pytest.mark.parametrize(
    "name",
    [
        "tests/integration/test_items.py",
        "shop/items_test.py",
        "report.html",
        ".coverage",
        ".git/config.ini",
        "node_modules/left/pad.json",
        "shop/__pycache__/models.py",
    ],
)
def test_another_file_does_not_count(root: Path, digest: MakeDigest, name: str) -> None:
    """Tests themselves, reports, and what is no part of the project."""
    before = digest()
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("new")

    assert digest() == before


def test_a_virtual_environment_does_not_count(root: Path, digest: MakeDigest) -> None:
    """Its distributions count by their versions."""
    before = digest()
    (root / "env" / "lib").mkdir(parents=True)
    (root / "env" / "pyvenv.cfg").write_text("home = /usr")
    (root / "env" / "lib" / "new.py").write_text("new")

    assert digest() == before


def test_the_place_of_the_project_does_not_count(
    root: Path, digest: MakeDigest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two checkouts share a template."""
    elsewhere = tmp_path_factory.mktemp("checkout")
    fingerprint = Fingerprint()
    for name, text in FILES.items():
        (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
        (elsewhere / name).write_text(text)
        fingerprint.add_file(elsewhere / name, elsewhere)

    assert fingerprint.hexdigest() == digest()


def test_a_variable_that_the_code_names_counts(root: Path, digest: MakeDigest) -> None:
    """In any case: settings classes look for the upper case of a field's name."""
    (root / "shop/settings.py").write_text("class Settings: seed_rows: int")

    assert digest(SEED_ROWS="1") != digest(SEED_ROWS="2")
    assert digest(SEED_ROWS="1") != digest()


def test_a_variable_with_a_prefix_that_the_code_names_counts(
    root: Path, digest: MakeDigest
) -> None:
    """The fields of such a settings class may be anywhere."""
    (root / "shop/settings.py").write_text("env_prefix = 'SHOP_'")

    assert digest(SHOP_ANY="1") != digest(SHOP_ANY="2")
    assert digest(SHOP_URL="1") == digest(SHOP_URL="2")


def test_other_variables_do_not_count(root: Path, digest: MakeDigest) -> None:
    """Nor do those of the run itself, which the code may well name."""
    (root / "shop/settings.py").write_text("worker = 'PYTEST_XDIST_WORKER', 'COLUMNS'")

    assert digest(EDITOR="vi", PYTEST_XDIST_WORKER="gw0", COLUMNS="80") == digest()


def test_a_distribution_counts_by_its_version(tmp_path: Path) -> None:
    """Its folder's name tells it."""
    (tmp_path / "Faker-40.1.0.dist-info").mkdir()
    (tmp_path / "faker").mkdir()

    assert distributions([str(tmp_path), "/nowhere"]) == ["Faker-40.1.0.dist-info"]


def test_a_loaded_module_of_another_place_counts(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory
) -> None:
    """A package that is installed in place, say."""
    elsewhere = tmp_path_factory.mktemp("lib") / "shared_models_of_two.py"
    elsewhere.write_text("x = 1")
    monkeypatch.syspath_prepend(elsewhere.parent)
    __import__(elsewhere.stem)

    assert elsewhere in set(loaded_files(root))
    assert not any("site-packages" in file.parts for file in loaded_files(root))
    del sys.modules[elsewhere.stem]
