"""What a built schema depends on, as one digest: files, environment, packages, settings.

A template that is kept from run to run is as good as this digest: a change of what it leaves out
rebuilds nothing. So it takes in more than it must, and a needless rebuild is the price:

* every file of the project that can be code or data for a schema (`SUFFIXES`), wherever it is below
  the root, but for modules of tests (``test_*.py``, ``*_test.py``), hidden folders and virtual
  environments;
* every module outside of the project and of the installed packages that is loaded now;
* the names and versions of all installed distributions;
* each environment variable whose name, in any case, is a word of one of those files, or starts with
  a word that ends in an underscore (``APP_`` of a settings class);
* whatever else the caller names.

It can't know what code reads while it runs: `tracing` sees to that. Nothing here connects to
anything or imports anything of the project.
"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

SUFFIXES = frozenset(
    {
        *{".py", ".sql", ".ini", ".cfg", ".toml", ".yaml", ".yml", ".json", ".csv", ".tsv"},
        *{".mako", ".j2", ".env"},
    }
)
"""The endings of files that are looked at without having been seen in use."""

_LARGE = 16 * 2**20
_OF_THE_SHELL = frozenset(
    {"_", "COLUMNS", "LINES", "OLDPWD", "PATH", "PWD", "SHLVL", "TERM", "TMPDIR"}
)
_OF_A_RUN = ("PYTEST", "PGSANDBOX_", "COVERAGE_", "TEST_DATABASE_URL")
_NO_PROJECT = ("__pycache__", "node_modules", "site-packages")
_WORDS = bytes(
    code if chr(code).isascii() and (chr(code).isalnum() or chr(code) == "_") else 32
    for code in range(256)
)


class Fingerprint:
    """A digest that grows by named parts; the order in which they are added does not count."""

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}
        self._words: set[bytes] = set()

    def add(self, name: str, value: object) -> None:
        """Take in *value*, as text, under *name*."""
        self._parts[name] = str(value)

    def add_file(self, path: Path, root: Path) -> None:
        """Take in what is in the file at *path*, under its name as seen from *root*."""
        content = contents(path)
        self._parts[f"file {name_of(path, root)}"] = digest_of(content)
        self._words.update(content.upper().translate(_WORDS).split())

    def add_environment(self, environ: Mapping[str, str], *, but: Iterable[str] = ()) -> None:
        """Take in the variables that the files added so far name, except those in *but*."""
        excluded = {*_OF_THE_SHELL, *but}
        prefixes = tuple(
            word.decode() for word in self._words if word.endswith(b"_") and word.strip(b"_")
        )
        for name, value in environ.items():
            spelt = name.upper()
            if name in excluded or spelt.startswith(_OF_A_RUN):
                continue
            if spelt.encode(errors="replace") in self._words or spelt.startswith(prefixes):
                self._parts[f"environment {name}"] = digest_of(os.fsencode(value))

    def hexdigest(self) -> str:
        """Return the digest of all parts."""
        whole = hashlib.sha256()
        for name, value in sorted(self._parts.items()):
            for text in (name, value):
                data = text.encode("utf-8", "surrogateescape")
                whole.update(b"%d:" % len(data) + data)
        return whole.hexdigest()


def project_files(root: Path) -> Iterator[Path]:
    """Yield the files below *root* that a schema may depend on."""
    for folder, folders, files in os.walk(root):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = [each for each in folders if not each.startswith(".") and _is_own(each)]
        for name in files:
            if _may_matter(name):
                yield Path(folder, name)


def _is_own(folder: str) -> bool:
    return folder not in _NO_PROJECT and not folder.endswith((".egg-info", ".dist-info"))


def _may_matter(name: str) -> bool:
    if name.startswith("."):
        return name.startswith(".env")
    stem, dot, ending = name.rpartition(".")
    if dot + ending not in SUFFIXES:
        return False
    return ending != "py" or not (stem.startswith("test_") or stem.endswith("_test"))


def loaded_files(root: Path) -> Iterator[Path]:
    """Yield the files of loaded modules that are neither below *root* nor installed."""
    own = str(Path(__file__).parents[1]) + os.sep
    for name, module in list(sys.modules.items()):
        if name in ("__main__", "__mp_main__"):  # what started pytest
            continue
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or file.startswith((*INSTALLED, own)):
            continue
        if not Path(file).is_relative_to(root) and Path(file).is_file():
            yield Path(file)


def distributions(path: Iterable[str]) -> list[str]:
    """Return the names and versions of what is installed in the folders of *path*.

    The folders' names tell both, and reading them takes a hundredth of what the metadata takes.
    """
    found: set[str] = set()
    for folder in path:
        try:
            names = [each.name for each in Path(folder).iterdir()]
        except OSError:
            continue
        found.update(name for name in names if name.endswith((".dist-info", ".egg-info", ".pth")))
    return sorted(found)


def name_of(path: Path, root: Path) -> str:
    """Return *path* as seen from *root* if it is below, so that two checkouts agree."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def contents(path: Path) -> bytes:
    """Return what is in the file at *path*; for a large one its size and time of change.

    A file that can't be read is one without content: it may be read by nobody else, either.
    """
    try:
        state = path.stat()
        if state.st_size > _LARGE:
            return b"%d bytes, changed %d" % (state.st_size, state.st_mtime_ns)
        return path.read_bytes()
    except OSError:
        return b""


def digest_of(content: bytes) -> str:
    """Return a digest of *content*."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


INSTALLED = tuple(
    sorted(
        {
            os.path.realpath(place) + os.sep
            for name in ("stdlib", "platstdlib", "purelib", "platlib")
            if (place := sysconfig.get_path(name))
        }
        | {
            place + os.sep
            for name in ("stdlib", "platstdlib", "purelib", "platlib")
            if (place := sysconfig.get_path(name))
        }
    )
)
"""Where Python and the installed packages are; the distributions' versions speak for them."""
