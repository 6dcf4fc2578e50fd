"""The environment variables that pytest-env gives the tests, each with its file and line.

It reads ``[tool.pytest_env]``, else the lines ``env`` among pytest's own settings, after the files
that ``env_files`` names (its README, "Configuration").
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgsandbox.cli.init.pytest_settings import document, lines_of, settings_file, settings_in
from pgsandbox.guard import masked

_URL = re.compile(r"(?i)[a-z][\w+]*://")
_DATABASES = ("postgres", "sqlite", "mysql", "mariadb", "oracle", "mssql", "cockroachdb", "duckdb")
_TABLE = "[tool.pytest_env]"


@dataclass(frozen=True)
class GivenVariable:
    """A variable that the tests have."""

    name: str
    """Its name."""
    value: str
    """Its value; what stands in braces is replaced where that is known."""
    path: Path
    """The file that gives it."""
    line: int
    """The line in it."""

    @property
    def is_database(self) -> bool:
        """Whether it is a database's URL."""
        return bool(_URL.match(self.value)) and self.value.lower().startswith(_DATABASES)

    @property
    def is_postgresql(self) -> bool:
        """Whether it is one of PostgreSQL's."""
        return self.is_database and self.value.lower().startswith("postgres")

    @property
    def masked(self) -> str:
        """It, as people may see it."""
        return f"{self.name}={masked(self.value)}"


def is_installed() -> bool:
    """Whether pytest-env is there to give anything."""
    return importlib.util.find_spec("pytest_env") is not None


def given_variables(root: Path, environ: Mapping[str, str] = os.environ) -> list[GivenVariable]:
    """Return what pytest-env gives the tests of the project at *root*, the last of each name.

    What *environ* has, stays where a line says so.
    """
    found: dict[str, GivenVariable] = {}
    known = dict(environ)
    for file, line, name, value, flags in _entries(root):
        if "U" in flags:
            found.pop(name, None)
            known.pop(name, None)
            continue
        said = known[name] if "D" in flags and name in known else _expanded(value, flags, known)
        known[name] = said
        found[name] = GivenVariable(name, said, file, line)
    return list(found.values())


_Entry = tuple[Path, int, str, str, frozenset[str]]


def _entries(root: Path) -> Iterator[_Entry]:
    toml = root / "pyproject.toml"
    table = document(toml).get("tool", {}).get("pytest_env")
    if isinstance(table, dict):
        yield from _of_files(root, table.get("env_files", ()))
        yield from _of_table(toml, table)
        return
    found = settings_file(root, root)
    if found is None:
        return
    file, header = found
    settings = settings_in(file, header)
    yield from _of_files(root, lines_of(settings.get("env_files")))
    for entry in lines_of(settings.get("env")):
        before, _, value = entry.partition("=")
        *flags, name = (each.strip() for each in before.split(":"))
        line = _line_of(file, f"{name}\\s*=")
        yield file, line, name, value.strip(), frozenset(each.upper() for each in flags)


def _of_table(file: Path, table: Mapping[str, Any]) -> Iterator[_Entry]:
    for name, entry in table.items():
        if isinstance(entry, list):
            continue  # env_files
        line = _line_of(file, f'"?{re.escape(name)}"?\\s*=', below=_TABLE)
        if not isinstance(entry, dict):
            yield file, line, name, str(entry), frozenset("R")
            continue
        flags = {"R"} if not entry.get("transform") else set()
        flags |= {"D"} if entry.get("skip_if_set") else set()
        flags |= {"U"} if entry.get("unset") else set()
        yield file, line, name, str(entry.get("value", "")), frozenset(flags)


def _of_files(root: Path, names: Sequence[str]) -> Iterator[_Entry]:
    for file in (root / name for name in names):
        if not file.is_file():
            continue
        text = file.read_text("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            said = re.fullmatch(r"\s*(?:export\s+)?(\w+)\s*=\s*(.*?)\s*", line)
            if said:
                yield file, number, said[1], said[2].strip("'\""), frozenset("R")


def _line_of(file: Path, pattern: str, below: str = "") -> int:
    is_below = not below
    for number, line in enumerate(file.read_text("utf-8", errors="replace").splitlines(), 1):
        is_below = is_below or line.strip() == below
        if is_below and re.search(rf"(?:^|[\s\"':=]){pattern}", line):
            return number
    return 1


def _expanded(value: str, flags: frozenset[str], known: Mapping[str, str]) -> str:
    if "R" in flags:
        return value
    try:
        return value.format(**known)
    except (KeyError, IndexError, ValueError):
        return value
