"""The example projects pass as they are on the site, outside of the checkout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.integration.plugin.projects import Project
from tests.kit.integration.recorded import EXAMPLES
from tests.kit.nightly import by_night

MakeExample = Callable[[str], Project]


@pytest.fixture(scope="module")
def make_example(tmp_path_factory: pytest.TempPathFactory) -> MakeExample:
    """Copies an example to a directory of its own."""

    def make(name: str) -> Project:
        path = tmp_path_factory.mktemp("example") / name
        shutil.copytree(EXAMPLES / name, path)
        return Project(path)

    return make


@pytest.mark.parametrize(
    "name", ["quickstart", "flask", "library", "established", "scopes", "invoices"]
)
def test_an_example_passes(make_example: MakeExample, name: str) -> None:
    """With no argument and no variable of the environment but where PostgreSQL comes from."""
    run = make_example(name).run("--pg-server=embedded")

    assert run.code == 0, run.text
    assert set(run.counts) == {"passed"}


@pytest.mark.nightly
@pytest.mark.parametrize(
    "arguments",
    [["-p", "xdist", "-n", "2"], ["-p", "randomly"]],
    ids=["two workers", "random order"],
)
def test_an_example_passes_in_any_order(make_example: MakeExample, arguments: list[str]) -> None:
    """On two workers, each with a database of its own, and shuffled."""
    run = make_example("library").run("--pg-server=embedded", *arguments)

    assert run.code == 0, run.text
    assert set(run.counts) == {"passed"}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="in order"),
        pytest.param(["-p", "xdist", "-n", "2"], id="two workers", marks=pytest.mark.nightly),
        pytest.param(["-p", "randomly"], id="random order", marks=pytest.mark.nightly),
    ],
)
def test_the_example_of_processes_passes(make_example: MakeExample, arguments: list[str]) -> None:
    """All of it, or all but the worker in JavaScript where there is no node."""
    run = make_example("depot").run("--pg-server=embedded", "-rs", *arguments)

    assert run.code == 0, run.text
    assert run.counts.get("skipped", 0) == run.out.count("there is no node on this machine")


@pytest.mark.parametrize("scope", ["function", *by_night("session")])
def test_the_asynchronous_example_passes(make_example: MakeExample, scope: str) -> None:
    """With a loop for each test, and with one for the whole run."""
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "anyio")
    loops = ("-o", f"asyncio_default_test_loop_scope={scope}")
    run = make_example("asynchronous").run("--pg-server=embedded", *plugins, *loops)

    assert run.code == 0, run.text
    assert set(run.counts) == {"passed"}


@pytest.mark.nightly
def test_an_example_passes_with_psycopg_3(make_example: MakeExample) -> None:
    """The driver is the one that the setting url names."""
    url = "postgresql+psycopg://library@localhost/library"
    run = make_example("library").run("--pg-server=embedded", f"--pg-url={url}")

    assert run.code == 0, run.text


@pytest.mark.parametrize(
    "file",
    [file for file in sorted((EXAMPLES / "ci").glob("*.yml")) if "lint" not in file.stem],
    ids=lambda file: file.name,
)
def test_a_workflow_names_what_exists(file: Path) -> None:
    """It installs the distribution under its name, and runs pytest without any preparation."""
    text = file.read_text()

    assert "pip install -e . " in text
    assert text.rstrip().endswith("- run: pytest")


def test_the_guides_first_test_finds_a_forgotten_commit(make_example: MakeExample) -> None:
    """The guide tells the reader to take the commit out once, and to see the test fail."""
    project = make_example("flask")
    view = project.path / "myapp" / "projects.py"
    view.write_text(view.read_text().replace("db.session.commit()", "pass"))
    run = project.run("--pg-server=embedded", "-k", "posted")

    assert run.counts == {"failed": 1, "deselected": 2}
    assert "assert None == 'one'" in run.out
