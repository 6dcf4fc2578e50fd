"""Facts about the project's own files that no tool checks."""

import ast
import re
import stat
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import pgsandbox

ROOT = Path(__file__).parents[3]
KIT = ROOT / "src" / "pgsandbox"
PYPROJECT_TEXT = (ROOT / "pyproject.toml").read_text()
PYPROJECT = tomllib.loads(PYPROJECT_TEXT)
LOCK_TEXT = (ROOT / "poetry.lock").read_text()
LOCK = tomllib.loads(LOCK_TEXT)
NOXFILE = (ROOT / "noxfile.py").read_text()
CI = ROOT / ".ci" / "run"


def test_the_lock_has_a_hash_for_every_file():
    """Sessions install with --require-hashes, so nothing may be locked without one."""
    unlocked = [package["name"] for package in LOCK["package"] if not package["files"]]
    algorithms = {file["hash"].partition(":")[0] for p in LOCK["package"] for file in p["files"]}

    assert unlocked == []
    assert algorithms == {"sha256"}


def test_the_lock_names_no_index():
    """It was made where it was made; everybody installs it from the index of their own."""
    sources = [package["name"] for package in LOCK["package"] if "source" in package]

    assert sources == []
    assert "://" not in LOCK_TEXT


def test_the_lock_holds_one_version_of_each_package():
    """Two versions for two Pythons would test something else than what a reader installs."""
    names = [package["name"] for package in LOCK["package"]]

    assert sorted(set(names)) == sorted(names)


def test_the_project_configures_no_index():
    """The index is a matter of the machine, never of a file that all machines share."""
    assert "source" not in PYPROJECT["tool"]["poetry"]
    assert "uv" not in PYPROJECT["tool"]


def test_the_wheel_packs_the_kit_only():
    """The reference application is for reading: nobody installs it."""
    assert PYPROJECT["tool"]["poetry"]["packages"] == [{"include": "pgsandbox", "from": "src"}]


def test_pytest_finds_the_plugin():
    """An installed pgsandbox needs no line in anybody's conftest.py."""
    assert PYPROJECT["project"]["entry-points"]["pytest11"] == {"pgsandbox": "pgsandbox.plugin"}


def test_one_version_everywhere():
    """The distribution and the package say the same version."""
    assert PYPROJECT["project"]["version"] == pgsandbox.__version__


def test_the_typed_marker_is_packed():
    """Type checkers read the annotations of a package that has this file (PEP 561)."""
    assert (KIT / "py.typed").is_file()


@pytest.mark.parametrize("extra", sorted(PYPROJECT["project"]["optional-dependencies"]))
def test_the_test_group_covers_the_extra(extra):
    """Plain ``poetry install`` brings no extra, and yet must be able to run every test."""
    missing = set(PYPROJECT["project"]["optional-dependencies"][extra]) - set(
        PYPROJECT["dependency-groups"]["test"]
    )

    assert missing == set()


def test_nox_brings_its_own_tools():
    """With Python and git alone, ``nox`` finds what the sessions call in the noxfile's header."""
    header = re.search(r"(?ms)^# /// script$(.*?)^# ///$", NOXFILE).group(1)
    script = tomllib.loads(re.sub(r"(?m)^# ?", "", header))
    tools = {re.match(r"[\w-]+", tool).group() for tool in script["dependencies"]}

    assert tools == {"nox", "poetry", "poetry-plugin-export", "uv"}
    assert script["requires-python"] == PYPROJECT["project"]["requires-python"]
    assert script["tool"]["nox"]["script-download-python"] == "never"


@pytest.mark.parametrize(
    "session",
    [
        "all",
        "coverage",
        "crash",
        "dev",
        "docs",
        "integration",
        "lint",
        "matrix",
        "nightly",
        "package",
        "tests",
        "typecheck",
    ],
)
def test_contributing_names_the_session(session):
    """Whoever reads CONTRIBUTING.md knows every session."""
    assert f"| `{session}` |" in (ROOT / "CONTRIBUTING.md").read_text()


def test_no_session_moves_the_temporary_directory():
    """A Unix socket's path has at most 107 bytes, and ``create_tmp`` puts it below the checkout."""
    assert "create_tmp(" not in NOXFILE


def test_ci_can_be_started():
    """.ci/run is a program that stops at the first failure."""
    assert CI.stat().st_mode & stat.S_IXUSR
    assert "set -euo pipefail" in CI.read_text().splitlines()


def test_ci_passes_everything():
    """.ci/run runs the session that the README names, not a list of its own."""
    assert "--session all" in CI.read_text()


def test_the_plugin_is_measured_from_its_first_line():
    """pytest --cov starts after announced plugins were imported, so this one is loaded later."""
    conftest = ast.parse((ROOT / "conftest.py").read_text())
    lists = [node.value for node in conftest.body if isinstance(node, ast.Assign)]

    assert "-pno:pgsandbox" in PYPROJECT["tool"]["pytest"]["ini_options"]["addopts"]
    assert "pgsandbox.plugin" in ast.literal_eval(lists[0])


def test_coverage_has_branches_subprocesses_and_a_threshold():
    """What ``nox -s coverage`` and ``pytest --cov`` both read."""
    coverage = PYPROJECT["tool"]["coverage"]

    assert coverage["run"]["branch"]
    assert coverage["run"]["patch"] == ["subprocess", "_exit"]
    assert coverage["report"]["fail_under"] >= 95


def test_every_lint_rule_is_explained_on_its_line():
    """A rule chosen or ignored without a reason can't be argued with."""
    lines = [line for line in PYPROJECT_TEXT.splitlines() if re.match(r' +"[A-Z]+\d*",', line)]

    assert len(lines) > 50
    assert [line for line in lines if not re.search(r"# \w", line)] == []


def test_the_hook_for_other_projects_can_run():
    """pre-commit asks for these keys; the entry is a program that the wheel installs."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())

    assert {"id", "name", "entry", "language"} <= set(hook)
    assert hook["entry"].split() == ["pgsandbox", "lint"]
    assert PYPROJECT["project"]["scripts"] == {"pgsandbox": "pgsandbox.cli:main"}


def test_search_is_the_only_plugin_of_the_site():
    """Markdown extensions alone, so that another generator can read the same pages."""
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())

    assert [[*plugin] for plugin in site["plugins"]] == [["search"]]
    assert "hooks" not in site


@pytest.mark.parametrize("layer", ["errors", "guard", "reports", "config", "lint"])
def test_a_pure_layer_imports_the_standard_library_only(layer):
    """Import contracts can only list what is forbidden; this says what is allowed."""
    files = [*KIT.glob(f"{layer}.py"), *KIT.glob(f"{layer}/**/*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    imported = {
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    foreign = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names

    assert files
    assert foreign <= {"pgsandbox"}
