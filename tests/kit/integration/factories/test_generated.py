"""Factories written from models, on models of every kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kit.integration.factories.commands import run
from tests.kit.integration.plugin.projects import Project
from tests.kit.integration.recorded import EXAMPLES, recorded

GENERATED = Path("tests/integration/factories.py")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the example, whose factories were written and not touched since."""
    shutil.copytree(EXAMPLES / "factories", tmp_path / "shop")
    return tmp_path / "shop"


def test_the_module_is_as_it_was_written(shop: Path) -> None:
    """The example's factories are the golden file; ``--force`` writes them again."""
    ended = run(shop, "generate", "--check")

    assert ended.stdout == (
        "tests/integration/factories.py is as it would be written: "
        "13 factories, no place waits for you\n"
    )
    assert ended.returncode == 0


def test_what_is_written_passes_the_check(shop: Path) -> None:
    """Each of its objects can be written, twice, in batches, with every value of its enums."""
    ended = run(shop, "check")

    assert ended.stdout == "12 factories of 13 mapped classes checked: no findings.\n"
    assert ended.returncode == 0


def test_what_the_page_shows_of_it_is_there() -> None:
    """The factories of the two models that stand beside them."""
    lines = (EXAMPLES / "factories" / GENERATED).read_text().split("\n\n\n")
    shown = [each for each in lines if each.startswith(("class Customer", "class Order"))]
    text = "\n\n\n".join(shown) + "\n"

    assert text == recorded("output/factories-of-orders", text)


def test_a_changed_model_is_told(shop: Path) -> None:
    """``--check`` writes nothing, and its exit code says that something changed."""
    models = shop / "shop/models.py"
    models.write_text(models.read_text().replace("    name: Mapped[str]\n", ""))
    before = (shop / GENERATED).read_text()
    ended = run(shop, "generate", "--check")

    assert ended.returncode == 1
    assert "tests/integration/factories.py would change: " in ended.stdout
    assert (shop / GENERATED).read_text() == before


def test_a_file_that_is_there_is_not_replaced(shop: Path) -> None:
    """Somebody may have worked on it."""
    (shop / GENERATED).write_text("# mine\n")
    ended = run(shop, "generate")

    assert ended.returncode == 2
    assert "tests/integration/factories.py is there already" in ended.stderr
    assert (shop / GENERATED).read_text() == "# mine\n"


def test_force_replaces_it(shop: Path) -> None:
    """Whoever says so wants the module anew."""
    golden = (shop / GENERATED).read_text()
    (shop / GENERATED).write_text("# mine\n")
    ended = run(shop, "generate", "--force")

    assert ended.returncode == 0
    assert ended.stdout == recorded("output/factories-written", ended.stdout)
    assert (shop / GENERATED).read_text() == golden


def test_a_place_for_the_reader(tmp_path: Path) -> None:
    """A CHECK that nobody can solve is written above the field; the page shows the same module."""
    path = tmp_path / "untended"
    shutil.copytree(EXAMPLES / "untended", path)
    models = path / "shop/models.py"
    models.write_text(models.read_text().replace('"price > 0"', '"price > length(md5(sku))"'))
    ended = run(path, "generate", "--output", "-")

    assert "    # Your turn: CHECK price_is_positive: price > length(md5(sku))\n" in ended.stdout
    assert ended.stdout == recorded("output/factories-generate", ended.stdout)


def test_the_ready_made_test_passes(shop: Path, tmp_path: Path) -> None:
    """One import switches it on."""
    outcome = Project(shop).run("-p", "no:randomly")

    assert outcome.counts == {"passed": 1}
