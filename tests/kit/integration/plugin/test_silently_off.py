"""The guard stands wherever the tests of a configured project run, whatever pytest's root is.

Each attack is a green test that empties the development database, and did.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.external import External, external_server
from tests.kit.integration.plugin.projects import MODELS, Outcome, Project
from tests.kit.integration.recorded import EXAMPLES
from tests.kit.integration.test_keep_away import Shop
from tests.kit.nightly import by_night

_TABLE = '[tool.pgsandbox]\nmetadata = "models:Base"\n'

_PURGE = """
import os

from sqlalchemy import create_engine, text


def test_purge():
    with create_engine(os.environ["DATABASE_URL"]).begin() as connection:
        connection.execute(text("DELETE FROM orders"))
"""

_PURGING_CONFTEST = """
import os

from sqlalchemy import create_engine, text

with create_engine(os.environ["DATABASE_URL"]).begin() as connection:
    connection.execute(text("DELETE FROM orders"))
"""

_SHOP = {"pyproject.toml": _TABLE, "models.py": MODELS, "tests/test_purge.py": _PURGE}
_OTHER = {f"../other/{name}": text for name, text in _SHOP.items()}


@pytest.fixture(scope="module")
def external() -> Iterator[External]:
    """A server of these tests' own."""
    with external_server(None, "autovacuum=off") as server:
        server.execute("CREATE ROLE shop LOGIN CREATEDB PASSWORD 'secret'")
        yield server


@pytest.fixture
def shop(external: External) -> Shop:
    """The development database, with an order in it."""
    shop = Shop(external)
    shop.stock()
    return shop


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A configured project whose one test empties the development database."""
    (tmp_path / "shop").mkdir()
    project = Project(tmp_path / "shop")
    project.write(_SHOP)
    return project


def _attack(project: Project, shop: Shop, *arguments: str, below: str = ".", **environ) -> Outcome:
    paths = f"{project.environ()['PYTHONPATH']}:{project.path}"
    environ = {"DATABASE_URL": shop.url, "PYTHONPATH": paths, **environ}
    return project.run(*arguments, below=below, **environ)


@pytest.mark.parametrize(
    ("files", "arguments", "below"),
    [
        ({}, ["tests"], "."),
        ({"ci/pytest.ini": "[pytest]\n"}, ["-c", "ci/pytest.ini"], "."),
        ({"tests/pytest.ini": "[pytest]\n"}, [], "tests"),
        ({}, ["--rootdir=tests", "tests"], "."),
        ({"../tox.ini": "[pytest]\n"}, [], "."),
        *by_night(
            ({"ci/pytest.ini": "[pytest]\n"}, ["-c", "ci/pytest.ini", "tests"], "."),
            ({"tests/pytest.ini": "[pytest]\n"}, ["tests"], "."),
            ({"../pytest.ini": "[pytest]\n"}, [], "."),
        ),
        (
            {"../else/pytest.ini": "[pytest]\n"},
            ["../shop/tests/test_purge.py::test_purge"],
            "../else",
        ),
        (
            {"../else/pytest.ini": "[pytest]\n"},
            ["-c", "../else/pytest.ini", "../shop/tests"],
            "../else",
        ),
        ({"../pytest.ini": "[pytest]\ntestpaths = */tests\n"}, [], ".."),
        ({"tests/pyproject.toml": "[tool.ruff]\n"}, ["-c", "tests/pyproject.toml", "tests"], "."),
        ({"ci/pytest.ini": "[pytest]\n"}, ["-c", "ci/pytest.ini", "-n1", "-pxdist", "tests"], "."),
    ],
)
def test_the_guard_stands_whatever_root_pytest_takes(
    project: Project, shop: Shop, files: dict[str, str], arguments: list[str], below: str
) -> None:
    """The configuration is found from the tests upwards: the row stays, the test fails."""
    project.write(files)
    outcome = _attack(project, shop, *arguments, below=below)

    assert shop.items() == [("of a customer",)]
    assert outcome.counts == {"failed": 1}
    assert "DatabaseNotRequested: A connection to PostgreSQL was opened" in outcome.out


@pytest.mark.parametrize(
    ("files", "arguments", "below"),
    [
        ({"../pytest.ini": "[pytest]\n"}, [], ".."),
        ({"../pytest.ini": "[pytest]\n", "tests/conftest.py": _PURGING_CONFTEST}, [], ".."),
        (
            {"../else/pytest.ini": "[pytest]\n", "tests/__init__.py": ""},
            ["--pyargs", "tests.test_purge"],
            "../else",
        ),
        ({"tests/inner/pyproject.toml": _TABLE, "tests/inner/test_purge.py": _PURGE}, [], "."),
    ],
)
def test_tests_of_a_project_that_nobody_could_foresee_are_not_even_imported(
    project: Project, shop: Shop, files: dict[str, str], arguments: list[str], below: str
) -> None:
    """They are met while pytest collects; too late to begin with their settings, soon enough."""
    project.write(files)
    outcome = _attack(project, shop, *arguments, "--continue-on-collection-errors", below=below)

    assert shop.items() == [("of a customer",)]
    assert outcome.counts.get("passed", 0) == 0
    assert outcome.counts["errors"] == 1
    assert "belongs to a project that configures pgsandbox, and this run began" in outcome.text
    assert "Traceback" not in outcome.text


@pytest.mark.parametrize("arguments", [["tests", "../other/tests"], ["../other/tests"]])
def test_a_run_belongs_to_one_project(project: Project, shop: Shop, arguments: list[str]) -> None:
    """Of its arguments, and of the directory it starts in; the message names both files."""
    project.write(_OTHER)
    outcome = _attack(project, shop, *arguments)

    assert shop.items() == [("of a customer",)]
    assert outcome.code == 4
    assert "Two projects configure pgsandbox" in outcome.err
    assert outcome.err.count("pyproject.toml") == 2


@pytest.mark.parametrize("table", ["tools.pgsandbox", "tool.pg-sandbox"])
def test_a_table_that_is_nearly_ours_stops_the_run(
    project: Project, shop: Shop, table: str
) -> None:
    """Nothing would read it; the message has the right spelling."""
    project.write({"pyproject.toml": f'[{table}]\nmetadata = "models:Base"\n'})
    outcome = _attack(project, shop, "tests")

    assert shop.items() == [("of a customer",)]
    assert outcome.code == 4
    assert f"pyproject.toml has the table [{table}], which nothing reads" in outcome.err
    assert "Write [tool.pgsandbox] instead." in outcome.err


# -- where the plugin is installed and not loaded -----------------------------------------------


@pytest.fixture
def insisting(tmp_path: Path) -> Project:
    """The example that insists on the plugin, in both ways."""
    shutil.copytree(EXAMPLES / "insisting", tmp_path / "insisting")
    return Project(tmp_path / "insisting")


def _run(project: Project, shop: Shop, *arguments: str, **environ: str) -> str:
    """What pytest says, which is told nothing of the plugin."""
    kept = {k: v for k, v in project.environ().items() if k != "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project.path,
        env={**kept, "DATABASE_URL": shop.url, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


_WITHOUT = pytest.mark.parametrize(
    ("arguments", "environ"),
    [(["-p", "no:pgsandbox"], {}), *by_night(([], {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}))],
)


@_WITHOUT
def test_pytest_itself_insists_on_the_plugin(
    insisting: Project, shop: Shop, arguments: list[str], environ: dict[str, str]
) -> None:
    """By its setting ``required_plugins``: without the plugin it runs nothing."""
    (insisting.path / "conftest.py").unlink()
    said = _run(insisting, shop, *arguments, **environ)

    assert "ERROR: Missing required plugins: pgsandbox" in said
    assert shop.items() == [("of a customer",)]


@_WITHOUT
def test_a_line_of_conftest_stands_guard_without_the_plugin(
    insisting: Project, shop: Shop, arguments: list[str], environ: dict[str, str]
) -> None:
    """Also where another ini file counts, which requires nothing."""
    said = _run(insisting, shop, "-c", "/dev/null", "tests", *arguments, **environ)

    assert "DatabaseNotRequested" in said
    assert shop.items() == [("of a customer",)]


@_WITHOUT
def test_without_the_plugin_and_without_either_nothing_of_ours_runs(
    insisting: Project, shop: Shop, arguments: list[str], environ: dict[str, str]
) -> None:
    """So the documentation says, and names the two ways."""
    (insisting.path / "conftest.py").unlink()
    said = _run(insisting, shop, "-c", "/dev/null", "tests", *arguments, **environ)

    assert "1 passed" in said
    assert shop.items() == []


@pytest.mark.nightly
def test_both_ways_leave_a_run_with_the_plugin_as_it_is(insisting: Project, shop: Shop) -> None:
    """The guard is not there twice."""
    said = _run(insisting, shop)

    assert "1 failed" in said
    assert said.count("E               pgsandbox.errors.DatabaseNotRequested") == 1
