"""The configuration is found from the tests upwards, and a table that is nearly ours is refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pgsandbox.cli.project import settings_of
from pgsandbox.config import Search, find, named_paths, read
from pgsandbox.errors import ConfigurationError

TABLE = '[tool.pgsandbox]\nmetadata = "app.db:Base"\n'

Write = Callable[[Mapping[str, str]], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files, text by path."""

    def write(files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


def test_the_nearest_table_upwards_counts(write, tmp_path):
    """A pyproject.toml without our table, as of a linter below the tests, ends nothing."""
    write(
        {
            "pyproject.toml": TABLE,
            "back/pyproject.toml": TABLE,
            "back/tests/pyproject.toml": "[tool.ruff]\n",
            "front/tests/x.py": "",
        }
    )

    assert find([tmp_path / "back/tests/test_a.py"]) == tmp_path / "back"
    assert find([tmp_path / "front/tests"]) == tmp_path
    assert find([tmp_path / "not/there"]) == tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("front/tests", ["front/tests"]),
        ("*/tests", ["back [1]/tests", "front/tests"]),
        ("fr?nt/tests", ["front/tests"]),
        ("[f]ront/**/test_a.py", ["front/tests/test_a.py"]),
        ("back [1]/tests", ["back [1]/tests"]),
        ("package.module", []),
    ],
)
@pytest.mark.parametrize("is_absolute", [False, True])
def test_what_pytest_is_given_names_paths(write, tmp_path, name, found, is_absolute):
    """As it stands there, or by wildcards; also below a folder whose name has some."""
    folder = tmp_path / "a[b]"
    write({f"a[b]/{each}/tests/test_a.py": "" for each in ("front", "back [1]")})
    if is_absolute:
        above = folder if (folder / name).exists() else tmp_path / "a[[]b]"
        name = str(above / name)
    paths = named_paths(folder, name)

    assert sorted(each.resolve() for each in paths) == [folder / each for each in found]


def test_nothing_is_found_where_nothing_is_configured(write, tmp_path):
    """Neither by the word alone nor by somebody else's table."""
    write(
        {
            "pyproject.toml": """
                [project]
                dependencies = ["pgsandbox"]
                [project.optional-dependencies]
                pgsandbox = ["pgsandbox[embedded]"]
                [tool.poetry.dependencies.pgsandbox]
                path = "../pgsandbox"
                [tool.uv.sources]
                pgsandbox = { path = "../pgsandbox" }
                [tool.sandbox]
                metadata = "their"
                [tool.boxes]
                """,
            "tox.ini": "[testenv:pgsandbox]\n",
        }
    )

    assert find([tmp_path]) is None


def test_two_projects_are_refused(write, tmp_path):
    """The message names both files, and what lies below each."""
    write({"a/pyproject.toml": TABLE, "b/pyproject.toml": TABLE})

    with pytest.raises(ConfigurationError, match="Two projects configure pgsandbox") as refused:
        find([tmp_path / "a/tests", tmp_path / "b/tests"])

    assert str(tmp_path / "a/pyproject.toml") in str(refused.value)
    assert f"above {tmp_path / 'b/tests'}" in str(refused.value)


def test_one_project_by_two_spellings_is_one(write, tmp_path):
    """As through a link."""
    write({"a/pyproject.toml": TABLE, "a/tests/test_a.py": ""})
    (tmp_path / "link").symlink_to(tmp_path / "a")

    assert find([tmp_path / "a/tests", tmp_path / "link/tests"]) == tmp_path / "a"


def test_tests_that_a_link_leads_to_belong_to_where_they_are(write, tmp_path):
    """What lies above the link comes first."""
    write({"a/pyproject.toml": TABLE, "a/tests/test_a.py": "", "b/empty": ""})
    (tmp_path / "b/tests").symlink_to(tmp_path / "a/tests")

    assert find([tmp_path / "b/tests"]) == tmp_path / "a"


@pytest.mark.parametrize(
    "table",
    [
        "tools.pgsandbox",
        "tol.pgsandbox",
        "Tool.pgsandbox",
        "tool.pg-sandbox",
        "tool.pg_sandbox",
        "tool.PgSandbox",
        "tool.pgsandbx",
        "tool.pgsandboxx",
        "tool.psandbox",
        "tool.gsandbox",
        "tool.gpsandbox",
        "tool.pgsnadbox",
        "tool.pgsandobx",
        "tool.pytest.pgsandbox",
        "tool.pytest-pgsandbox",
        "tool-pgsandbox",
        "pgsandbox",
        "pg-sandbox",
        "project.pgsandbox",
        '"tool.pgsandbox"',
    ],
)
def test_a_table_that_is_nearly_ours_is_refused(write, tmp_path, table):
    """However it is misspelt or misplaced, the message has the right one."""
    write({"pyproject.toml": f'[{table}]\nmetadata = "app.db:Base"\n'})

    with pytest.raises(ConfigurationError) as refused:
        find([tmp_path / "tests"])

    assert f"has the table [{table}], which nothing reads" in str(refused.value)
    assert "Write [tool.pgsandbox] instead." in str(refused.value)


def test_a_second_table_that_is_nearly_ours_is_refused(write, tmp_path):
    """What stands in it would be thought to hold."""
    write({"pyproject.toml": TABLE + "[tool.pg-sandbox]\nallow = []\n"})

    with pytest.raises(ConfigurationError, match="which nothing reads"):
        read(tmp_path, {}, {})


@pytest.mark.parametrize(
    ("file", "section"),
    [
        ("pytest.ini", "[tool.pgsandbox]"),
        ("setup.cfg", "[tool:pgsandbox]"),
        ("tox.ini", "[pg-sandbox]"),
    ],
)
def test_an_ini_file_is_no_place_for_settings(write, tmp_path, file, section):
    """pytest reads such files, and so people think of them."""
    write({file: f"[pytest]\n{section}\nmetadata = app.db:Base\n"})

    with pytest.raises(ConfigurationError, match=f"{file} has no settings of pgsandbox"):
        find([tmp_path])


def test_a_file_in_another_encoding_is_refused(write, tmp_path):
    """PowerShell writes UTF-16, in which nobody's search finds our name."""
    (tmp_path / "pyproject.toml").write_text(TABLE, "utf-16")

    with pytest.raises(ConfigurationError, match="not valid TOML"):
        find([tmp_path])


def test_a_file_that_can_not_be_read_is_refused(tmp_path):
    """It may configure us, so that silence would be a guess."""
    (tmp_path / "pyproject.toml").symlink_to(tmp_path / "pyproject.toml")

    with pytest.raises(ConfigurationError, match="can't be read, so nobody knows"):
        find([tmp_path])


def test_each_folder_is_looked_at_once(write, tmp_path):
    """A project of many directories is not read anew for each of them."""
    write({"pyproject.toml": TABLE, "a/x": "", "b/x": ""})
    search = Search()
    first = search.root_of(tmp_path / "a")
    (tmp_path / "pyproject.toml").unlink()

    assert search.root_of(tmp_path / "b") == first == tmp_path


def test_the_command_line_finds_the_same(write, tmp_path, monkeypatch):
    """Both ask one function."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    write({"pyproject.toml": TABLE, "tests/pyproject.toml": "[tool.pgsandbx]\n"})

    assert settings_of(tmp_path / "elsewhere").root == tmp_path
    with pytest.raises(ConfigurationError, match=r"tool\.pgsandbx"):
        settings_of(tmp_path / "tests")


def test_a_variable_configures_a_project_without_a_table(write, tmp_path, monkeypatch):
    """For the command line its root is where its file stands."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(os.environ, "PGSANDBOX_METADATA", "app.db:Base")
    write({"pyproject.toml": "[project]\n"})

    assert settings_of(tmp_path / "tests").root == tmp_path
