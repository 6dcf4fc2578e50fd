"""Finds the project that tests belong to: from them upwards, whatever pytest takes for its root.

pytest's root directory follows its own ini file, and ``-c``, ``--rootdir``, a ``tests/pytest.ini``
or a ``tox.ini`` above all move it. What decides here is where the tests are. A table whose name is
nearly ours is an error, since nothing would read it and nothing would stand guard.

pytest looks here in every project that has pgsandbox installed: what is costly to import waits for
a file that seems to name us.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgsandbox.errors import ConfigurationError

FILE = "pyproject.toml"
TABLE = "tool.pgsandbox"
_NAME = "pgsandbox"
_KEY_OF_OURS = "metadata"
_INI_FILES = ("pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "pytest.toml", ".pytest.toml")
_INI_SECTION = r"(?m)^[ \t]*\[(?:tools?[.: ])?([^\]\n.:]+)\]"


def find(starts: Iterable[Path]) -> Path | None:
    """Return the root of the project that configures pgsandbox above *starts*, or None.

    Raises:
        ConfigurationError: there are two, or a table that is nearly ours, or an unreadable file.
    """
    search = Search()
    found: dict[str, tuple[Path, Path]] = {}
    for start in starts:
        root = search.root_of(start)
        if root is not None:
            found.setdefault(os.path.realpath(root), (root, start))
    if len(found) > 1:
        raise _error(
            "Two projects configure pgsandbox, and a run holds to the settings of one.",
            *(("settings", str(root / FILE), f"above {start}") for root, start in found.values()),
            remedy="Run pytest for each by itself, in its own directory.",
        )
    return next((root for root, _ in found.values()), None)


def named_paths(folder: Path, name: str) -> list[Path]:
    """Return what *name*, an argument of pytest or an entry of its ``testpaths``, names there.

    That is nothing for a module's name, and may be many for an entry with wildcards (pytest's
    manual, ``testpaths``).
    """
    if (folder / name).exists():
        return [folder / name]
    return [folder / each for each in glob(name, root_dir=folder, recursive=True)]  # noqa: PTH207 - as pytest does


def stray_tests(folder: Path, root: Path, held: Path | None) -> ConfigurationError:
    """Return the error of a run by *held* that comes to *folder*, a part of another *root*."""
    return _error(
        f"{folder} belongs to a project that configures pgsandbox, and this run began without its "
        "settings, so that nothing there was imported.",
        ("settings", str(root / FILE), f"above {folder}"),
        ("this run", "none" if held is None else str(held / FILE), None),
        remedy=f"Run pytest in {root}, or name its tests: pytest {folder}. What is no part of this "
        "run can be left out by norecursedirs.",
    )


class Search:
    """Looks at the folders above a path, at each folder once."""

    def __init__(self) -> None:
        self._roots: dict[str, Path | None] = {}
        self._starts: dict[Path, Path | None] = {}

    def root_of(self, start: Path) -> Path | None:
        """Return the nearest folder from *start* upwards whose pyproject.toml configures us.

        Where a link leads to the tests, what lies above the link counts before what lies above
        that which it leads to.
        """
        if start not in self._starts:
            spelt, real = os.path.abspath(start), os.path.realpath(start)  # noqa: PTH100 - keeps links
            found = self._above(spelt) or (self._above(real) if real != spelt else None)
            self._starts[start] = found
        return self._starts[start]

    def _above(self, folder: str) -> Path | None:
        if folder not in self._roots:
            parent = os.path.dirname(folder)  # noqa: PTH120 - as Path in a tenth of the time
            if table_of(Path(folder)) is not None:
                self._roots[folder] = Path(folder)
            else:
                self._roots[folder] = None if parent == folder else self._above(parent)
        return self._roots[folder]


def table_of(folder: Path) -> dict[str, Any] | None:
    """Return what ``[tool.pgsandbox]`` says in the pyproject.toml of *folder*; None without one.

    Raises:
        ConfigurationError: a table there is nearly ours, or the file can't be read.
    """
    for name in _INI_FILES:
        _refuse_sections(folder / name)
    file = folder / FILE
    content = _content_of(file)
    if not _may_name_us(content):
        return None
    # Only a project that mentions pgsandbox, or something like it, pays for the parser.
    import tomllib

    try:
        document = tomllib.loads(content.decode())
    except ValueError as error:  # TOMLDecodeError names the line, UnicodeDecodeError the byte
        if _NAME.encode() not in _squeezed(content):
            return None
        raise _error(
            f"{FILE} is not valid TOML, so its settings cannot be read.",
            ("file", str(file), None),
            ("error", str(error), None),
            remedy="Correct the file at the place that the error names; it is UTF-8.",
        ) from error
    for path in _nearly_ours(document):
        raise _misspelt(file, ".".join(_quoted(key) for key in path))
    tools = document.get("tool", {})
    table = tools.get(_NAME) if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise _error(
            f"{TABLE} is a table of settings, not one value.",
            # Not its value: what stands in the wrong place may well be a password.
            ("file", str(file), None),
            ("table", f"[{TABLE}]", FILE),
            remedy=f"Write a table [{TABLE}] with a line for each setting.",
        )
    return table


def _content_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return b""
    except OSError as error:
        if not os.path.lexists(file):  # the folder itself is closed to us
            return b""
        raise _error(
            f"{file.name} can't be read, so nobody knows whether it configures pgsandbox.",
            ("file", str(file), None),
            ("error", error.strerror or str(error), None),
            remedy="Let the user who runs the tests read it.",
        ) from error


def _squeezed(content: bytes) -> bytes:
    """Return *content* as small letters without what people put between words, or UTF-16 does."""
    return content.lower().translate(None, b"\0-_ ")


def _may_name_us(content: bytes) -> bool:
    # One wrong, missing, superfluous or swapped letter leaves one end of the name whole.
    squeezed = _squeezed(content)
    return b"pgs" in squeezed or b"box" in squeezed


def _nearly_ours(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the path of each table that was meant to be ours, and isn't."""
    for path, value in _tables(document):
        if path[:2] == ("tool", _NAME):
            continue
        is_there = len(path) == 1 or (len(path) == 2 and _is_near(path[0], "tool", 0.7))
        has_key = isinstance(value, dict) and _KEY_OF_OURS in value
        if (is_there and _is_near(path[-1], _NAME, 0.85)) or (has_key and _holds_our_name(path)):
            yield path


def _tables(
    table: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        path = (*above, key)
        if isinstance(value, dict):
            yield path, value
            yield from _tables(value, path)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield path, value


def _holds_our_name(path: tuple[str, ...]) -> bool:
    return _NAME in _letters(path[-1])


def _is_near(name: str, wanted: str, cutoff: float) -> bool:
    from difflib import get_close_matches

    letters = _letters(name)
    if wanted == _NAME:
        letters = re.sub("^tools?(?=p?g)", "", letters)  # ["tool.pgsandbox"], [tool-pgsandbox]
        if letters[:1] not in ("p", "g"):  # [tool.sandbox] is somebody else's
            return False
    return bool(get_close_matches(letters, [wanted], cutoff=cutoff))


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _quoted(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else f'"{key}"'


def _refuse_sections(file: Path) -> None:
    """Refuse a section of an ini file that is named like our table: nothing reads it there."""
    try:
        content = file.read_bytes()
    except OSError:
        return
    if _may_name_us(content):
        for section in re.finditer(_INI_SECTION, content.decode("utf-8", "replace")):
            if _is_near(section[1], _NAME, 0.85):
                raise _misspelt(file, section[0].strip().strip("[]"))


def _misspelt(file: Path, table: str) -> ConfigurationError:
    return _error(
        f"{file.name} has the table [{table}], which nothing reads; pgsandbox is configured by "
        f"[{TABLE}] of {FILE}.",
        ("file", str(file), None),
        ("table", f"[{table}]", None),
        ("right", f"[{TABLE}]", None),
        remedy=f"Write [{TABLE}] instead"
        + ("." if file.name == FILE else f", in {FILE}: {file.name} has no settings of pgsandbox."),
    )


def _error(headline: str, *facts: tuple[str, str, str | None], remedy: str) -> ConfigurationError:
    # Most projects have no mistake here, and many no settings: they pay for no error either.
    from pgsandbox.errors import ConfigurationError, Fact

    return ConfigurationError(headline, facts=[Fact(*each) for each in facts], remedy=remedy)
