"""Which files are read: those below the given paths, each once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_NOT_OURS = {"__pycache__", "node_modules", "site-packages"}


def files_below(paths: Iterable[Path]) -> list[Path]:
    """Return the Python files below *paths*, sorted; a path that is a file is taken as it is.

    A folder that begins with a dot, an environment or a linked folder is not entered: the first two
    hold other people's code, the last may lead back to itself. Two links to one file are one file.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for file in [path] if path.is_file() else sorted(_walked(path)):
            found.setdefault(os.path.realpath(file), file)
    return sorted(found.values())


def _walked(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if _is_entered(Path(here, each))]
        yield from (Path(here, name) for name in files if name.endswith(".py"))


def _is_entered(folder: Path) -> bool:
    return not (
        folder.name.startswith(".") or folder.name in _NOT_OURS or (folder / "pyvenv.cfg").exists()
    )
