"""Where a project begins: its root, the folder that its imports start from, its files."""

from __future__ import annotations

import ast
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.lint.application_sources import ApplicationSources
from pgsandbox.lint.source import Source, Unreadable, read

_NOT_OURS = {"__pycache__", "build", "dist", "docs", "env", "node_modules", "site-packages", "venv"}
_STRONG = ("pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "tox.ini")
_WEAK = ("requirements.txt", "Pipfile", "alembic.ini")
_MAPS = (
    "__tablename__",
    "table=True",
    "db.Model",
    "declarative_base(",
    "DeclarativeBase",
    "Table(",
)
_MOST = 4000
"""How many files are looked at: a project that has more is a folder of projects."""


def root_of(given: Path) -> Path:
    """Return the directory of the project that *given* is, or has in it.

    In a repository of several parts it is the one whose sources define models.
    """
    found: Counter[Path] = Counter()
    for file in files_below(given):
        if not _is_of_tests(file, given) and _mentions_models(file):
            found[_nearest(file, given)] += 1
    if not found or given in found:
        return given
    (best, most), *others = found.most_common()
    if others and others[0][1] * 2 > most:
        raise ConfigurationError(
            "There are several projects here, and none of them stands at the top.",
            facts=[
                Fact("models in", str(each.relative_to(given)))
                for each, _ in (found.most_common(8))
            ],
            remedy="Name one of them: pgsandbox init --root DIRECTORY.",
        )
    return best


def start_of(root: Path, files: Sequence[Path]) -> Path:
    """Return the folder that the project's own imports are found from, root or one below it."""
    candidates = [root, *_folders(root, files)]
    votes: Counter[Path] = Counter()
    for file in files:
        for name in _imported(file):
            for place in candidates:
                votes[place] += _resolves(place, name)
    best = max(candidates, key=lambda place: votes[place])
    if votes[best]:
        return best
    has_packages = any((root / "src").glob("*/__init__.py"))
    return root / "src" if has_packages else root


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the Python files below *folder*, but for environments and what is not the project's."""
    count = 0
    for here, below, names in os.walk(folder):
        place = Path(here)
        below[:] = sorted(
            name
            for name in below
            if name not in _NOT_OURS
            and not name.startswith(".")
            and not (place / name / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if name.endswith(".py"):
                count += 1
                if count > _MOST:
                    return
                yield place / name


def module_of(file: Path, start: Path) -> str | None:
    """Return the dotted name by which *file* is imported from *start*."""
    if not file.is_relative_to(start):
        return None
    parts = list(file.relative_to(start).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(each.isidentifier() for each in parts) else None


def source_of(file: Path) -> Source | None:
    """Return *file* as it is read, or None where it is no Python."""
    try:
        return read(file)
    except Unreadable:
        return None


def _nearest(file: Path, given: Path) -> Path:
    above = [each for each in file.parents if each.is_relative_to(given)]
    for marks in (_STRONG, _WEAK):
        for folder in above:
            # The folder of the sources may hold its own setup.py; the tests stand beside it.
            if folder.name == "src" or (folder / "__init__.py").is_file():
                continue
            if any((folder / mark).is_file() for mark in marks):
                return folder
    return given


def _mentions_models(file: Path) -> bool:
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError:
        return False
    is_about = "sqlalchemy" in text.lower() or "sqlmodel" in text or "db.Model" in text
    return is_about and any(word in text for word in _MAPS)


def _is_of_tests(file: Path, root: Path) -> bool:
    return ApplicationSources(root, []).is_test(file) or "versions" in file.parts


def _folders(root: Path, files: Sequence[Path]) -> list[Path]:
    every = {
        folder
        for file in files
        for folder in file.parents
        if folder.is_relative_to(root) and folder != root
    }
    return sorted(each for each in every if len(each.relative_to(root).parts) <= 3)


def _imported(file: Path) -> Iterator[str]:
    source = source_of(file)
    if source is None:
        return
    for plain in source.of(ast.Import):
        yield from (alias.name for alias in plain.names)
    for statement in source.of(ast.ImportFrom):
        if not statement.level and statement.module:
            yield statement.module


def _resolves(place: Path, name: str) -> int:
    first, *rest = name.split(".")
    if first in sys.stdlib_module_names:
        return 0
    inside = place / first
    if (place / f"{first}.py").is_file():
        return 1 if not rest else 0
    if not inside.is_dir() or not next(inside.glob("**/*.py"), None):
        return 0
    step = inside.joinpath(*rest) if rest else inside
    return 2 if step.is_dir() or step.with_suffix(".py").is_file() else 0
