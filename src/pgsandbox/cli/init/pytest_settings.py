"""pytest's own settings in a project: the file that has them, and what it says."""

from __future__ import annotations

import configparser
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FILES = (
    ("pytest.toml", "[pytest]"),
    (".pytest.toml", "[pytest]"),
    ("pytest.ini", "[pytest]"),
    (".pytest.ini", "[pytest]"),
    ("pyproject.toml", "[tool.pytest]"),
    ("pyproject.toml", "[tool.pytest.ini_options]"),
    ("tox.ini", "[pytest]"),
    ("setup.cfg", "[tool:pytest]"),
)
"""The files that pytest looks into, in its order, each with the header of its settings."""


def settings_file(folder: Path, root: Path) -> tuple[Path, str] | None:
    """Return the file that has pytest's settings for the tests in *folder*, and their header.

    None where there is none up to *root*.
    """
    for each in (folder, *folder.parents):
        for name, header in _FILES:
            file = each / name
            text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
            if header in text.splitlines():
                return file, header
        if each == root:
            break
    return None


def settings_in(file: Path, header: str) -> Mapping[str, Any]:
    """Return what stands below *header* in *file*; nothing where it can't be read."""
    if file.suffix == ".toml":
        found: Any = document(file)
        for key in header.strip("[]").split("."):
            found = found.get(key, {})
        return found if isinstance(found, dict) else {}
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(file, "utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}
    section = header.strip("[]")
    return dict(parser[section]) if parser.has_section(section) else {}


def test_paths(root: Path) -> list[str]:
    """Return the folders and files that pytest collects from where a run names none."""
    found = settings_file(root, root)
    given = settings_in(*found).get("testpaths") if found else None
    try:
        return shlex.split(given) if isinstance(given, str) else [str(each) for each in given or ()]
    except ValueError:
        return []


def lines_of(setting: Any) -> list[str]:
    """Return the lines of a *setting* that is a list, in TOML or in an ini file."""
    lines = setting.splitlines() if isinstance(setting, str) else list(setting or ())
    return [str(each).strip() for each in lines if str(each).strip()]


def document(file: Path) -> Mapping[str, Any]:
    """Return the TOML of *file*; nothing where it can't be read."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
