"""What the building of a schema reads while it runs, so that a later run can tell if it changed.

Python announces every file that it opens, folder that it lists, program that it starts and socket
that it connects (audit hooks, PEP 578). A hook can't be removed again, so that one is added when
the first build is traced, and asks a variable from then on.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pgsandbox.schema.fingerprint import INSTALLED, contents, digest_of, name_of

_NOT_REPEATABLE = frozenset(
    {"os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn", "subprocess.Popen"}
)
_NO_FILES = ("/dev/", "/proc/", "/sys/")
_ONLY_WRITES = os.O_WRONLY


class Trace:
    """What happens inside of a ``with`` block, on every thread."""

    def __init__(self, root: Path, *, addresses: Iterable[object] = ()) -> None:
        self.root = root
        self.obstacles: list[str] = []
        """What can't be looked at again by a later run: programs, and sockets but *addresses*."""
        self._addresses = list(addresses)
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._modules: set[str] = set()

    def __enter__(self) -> Self:
        global _current, _is_hooked  # noqa: PLW0603 - there is one interpreter to listen to
        if not _is_hooked:
            sys.addaudithook(_heard)
            _is_hooked = True
        self._modules = set(sys.modules)
        _current = self
        return self

    def __exit__(self, *_: object) -> None:
        global _current  # noqa: PLW0603 - as above
        _current = None
        for name in set(sys.modules) - self._modules:
            file = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(file, str):  # a module's file is read from its cache
                self._files.add(file)

    def hear(self, event: str, details: tuple[Any, ...]) -> None:
        """Take note of one *event* of Python's."""
        if event == "open":
            path, _, flags = details
            if isinstance(flags, int) and flags & os.O_ACCMODE != _ONLY_WRITES:
                self._note(path, self._files)
        elif event in ("os.listdir", "os.scandir"):
            if not sys._getframe(2).f_code.co_filename.startswith("<frozen importlib"):
                self._note(details[0] if details[0] is not None else ".", self._folders)
        elif event == "sqlite3.connect":
            self._note(details[0], self._files)
        elif event in _NOT_REPEATABLE:
            self.obstacles.append(f"it started a program ({event}: {details[0]!s:.60})")
        elif event == "socket.connect" and details[1] not in self._addresses:
            self.obstacles.append(f"it connected to {details[1]!s:.60}")

    def _note(self, path: object, where: set[str]) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            full = str(Path(os.fsdecode(path)).absolute())
            if not full.startswith(_NO_FILES):
                where.add(full)

    def inputs(self) -> dict[str, str]:
        """Return a digest of each file and folder that was read, and is there now."""
        files = (Path(file) for file in self._files if _is_looked_at(file))
        folders = (Path(folder) for folder in self._folders if _is_looked_at(folder))
        found = {name_of(file, self.root): _digest(file) for file in files if file.is_file()}
        found |= {
            f"{name_of(folder, self.root)}{os.sep}": _digest(folder)
            for folder in folders
            if folder.is_dir()
        }
        return found


def encode(fingerprint: str, inputs: dict[str, str]) -> str:
    """Return *fingerprint* and *inputs* as one text."""
    return json.dumps({"fingerprint": fingerprint, "inputs": inputs}, sort_keys=True)


def is_current(text: str, fingerprint: str, root: Path) -> bool:
    """Whether *text*, which `encode` made, is of *fingerprint*, and its inputs are unchanged."""
    try:
        said = json.loads(text)
        inputs: dict[str, str] = said["inputs"]
        return bool(said["fingerprint"] == fingerprint) and all(
            _digest(root / name) == digest for name, digest in inputs.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _is_looked_at(path: str) -> bool:
    if path.endswith(".pyc") or path.startswith(str(Path(__file__).parents[1]) + os.sep):
        return False
    return not (path + os.sep).startswith(INSTALLED)


def _digest(path: Path) -> str:
    if path.is_dir():
        # Python's caches come and go by themselves.
        names = sorted(each.name for each in path.iterdir() if each.name != "__pycache__")
        return digest_of("\n".join(names).encode("utf-8", "surrogateescape"))
    return digest_of(contents(path)) if path.is_file() else "gone"


_current: Trace | None = None
_is_hooked = False


def _heard(event: str, details: tuple[Any, ...]) -> None:
    if _current is not None:
        with contextlib.suppress(Exception):  # it would stop what is only watched
            _current.hear(event, details)
