"""The Alembic environments of a project: which ini file, which section, which directory."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

from pgsandbox.cli.init.places import files_below


@dataclass(frozen=True)
class Environment:
    """One Alembic environment."""

    setting: str
    """What the setting ``migrations`` says of it."""
    path: Path
    """Its directory."""
    revisions: int
    """How many revisions it has."""
    needs_application: bool
    """Whether its env.py asks for the current Flask application."""
    section: str = "alembic"
    """The section of the ini file that names it."""


def environments(root: Path) -> list[Environment]:
    """Return the environments below *root*, the one with the most revisions first."""
    found = {}
    for file in files_below(root):
        if file.name == "env.py" and _is_environment(file):
            found[file.parent] = _environment(root, file)
    return sorted(found.values(), key=lambda each: -each.revisions)


def _is_environment(file: Path) -> bool:
    text = file.read_text("utf-8", errors="replace")
    return "run_migrations" in text and "alembic" in text


def _environment(root: Path, file: Path) -> Environment:
    folder = file.parent
    revisions = sum(
        "revision" in each.read_text("utf-8", errors="replace")
        for each in (folder / "versions").glob("**/*.py")
        if each.name != "__init__.py"
    )
    needs = "current_app" in file.read_text("utf-8", errors="replace")
    setting, section = folder.relative_to(root).as_posix(), "alembic"
    if not needs:
        for ini, name in _sections(root, folder):
            shown = ini.relative_to(root).as_posix()
            setting = shown if name == "alembic" else f"{shown}:{name}"
            section = name
            break
    return Environment(setting, folder, revisions, needs, section)


def _sections(root: Path, folder: Path) -> list[tuple[Path, str]]:
    """Return the ini files, each with its section, that name *folder* as their environment."""
    places = [each for each in (folder, *folder.parents) if each.is_relative_to(root)]
    near = (ini for place in places for ini in sorted(place.glob("*.ini")))
    found = []
    # One may also stand in a folder for configuration, which ``alembic -c`` names.
    for ini in dict.fromkeys([*near, *sorted(root.glob("*/*.ini"))]):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(ini, "utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for name in parser.sections():
            location = parser.get(name, "script_location", fallback="")
            location = location.replace("%(here)s", str(ini.parent))
            candidates = {ini.parent / location, root / location}
            if location and any(each.resolve() == folder.resolve() for each in candidates):
                found.append((ini, name))
    return sorted(found, key=lambda each: (each[0].parent == folder, each[1] != "alembic"))
