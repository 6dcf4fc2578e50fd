"""The application's sources, read as text to learn what a name that a test uses stands for."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

from pgsandbox.lint.names import Names
from pgsandbox.lint.source import Unreadable, read

_DEEP = 12
_TESTS = {"test", "tests", "testing"}


@dataclass(frozen=True)
class Definition:
    """The end of a way through imports and aliases."""

    dotted: str
    """Its name where it is defined, or the whole name where that is no file of the project."""
    rest: tuple[str, ...] = ()
    """The attributes of it that the way names besides."""
    path: Path | None = None
    """The file that defines it; None for a library."""
    node: ast.AST | None = None
    """What defines it there: an expression, a class, a function; None for a module."""
    names: Names | None = None
    """The names of that file."""
    via: tuple[str, ...] = ()
    """The names that the way leads through."""


class ApplicationSources:
    """The modules below *folders*, each parsed when a test first refers to it.

    A module is also found from any folder between a test and *root*, since nobody says where a
    project's path begins.
    """

    def __init__(self, root: Path, folders: Sequence[Path]) -> None:
        self.root = root
        self._folders = [each for each in folders if each.is_dir()]
        self._modules: dict[Path, Names | None] = {}
        self._found: dict[tuple[str, Path], Path | None] = {}
        self._starts: dict[Path, list[Path]] = {}
        self._definitions: dict[tuple[str, Path], Definition] = {}

    def names_of(self, path: Path) -> Names | None:
        """Return the names of the file at *path*, or None if it cannot be read."""
        if path not in self._modules:
            try:
                source = read(path)
            except Unreadable:
                self._modules[path] = None
            else:
                is_package = path.name == "__init__.py"
                self._modules[path] = Names(source, module_name(path), is_package=is_package)
        return self._modules[path]

    def is_test(self, path: Path) -> bool:
        """Whether the file at *path* belongs to the tests, not to the application."""
        inside = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        name = path.name
        return (
            not _TESTS.isdisjoint(inside.parts[:-1])
            or name in ("conftest.py", "tests.py")
            or name.startswith("test_")
            or name.endswith("_test.py")
        )

    def definition(self, dotted: str, near: Path, depth: int = 0) -> Definition:
        """Return what *dotted* names, followed through re-exports, as the file *near* sees it."""
        key = dotted, near.parent
        if key not in self._definitions:
            self._definitions[key] = self._followed(dotted, near, depth)
        return self._definitions[key]

    def origin(self, dotted: str, near: Path) -> str:
        """Return the name under which *dotted* is defined, with the attributes behind it."""
        found = self.definition(dotted, near)
        return ".".join([found.dotted, *found.rest])

    def _followed(self, dotted: str, near: Path, depth: int) -> Definition:
        parts = dotted.split(".")
        for end in range(len(parts), 0, -1):
            file = self._file_of(".".join(parts[:end]), near)
            names = self.names_of(file) if file else None
            if file is None or names is None:
                continue
            rest = tuple(parts[end:])
            if not rest:
                return Definition(dotted, (), file, None, names)
            return self._in_module(file, names, rest, dotted, depth)
        return Definition(dotted)

    def _in_module(
        self, file: Path, names: Names, rest: tuple[str, ...], dotted: str, depth: int
    ) -> Definition:
        if depth > _DEEP:
            return Definition(dotted)
        name, behind = rest[0], rest[1:]
        for binding in names.of_module.get(name, []):
            value = binding.value
            target = binding.dotted or (names.dotted(value) if _is_alias(value) else None)
            if target is not None:
                step = ".".join([target, *behind])
                found = self.definition(step, file, depth + 1)
                return replace(found, via=(step, *found.via))
            if isinstance(value, ast.Name) and value.id != name:
                # An alias of something that the same file defines.
                return self._in_module(file, names, (value.id, *behind), dotted, depth + 1)
            if value is not None:
                module = names.module or file.stem
                return Definition(f"{module}.{name}", behind, file, value, names)
        return self._by_stars(file, names, rest, depth) or Definition(dotted)

    def _by_stars(
        self, file: Path, names: Names, rest: tuple[str, ...], depth: int
    ) -> Definition | None:
        for star in names.stars:
            found = self.definition(".".join([star, *rest]), file, depth + 1)
            is_defined = found.path is not None and found.node is not None
            if is_defined or star.partition(".")[0] in ("sqlalchemy", "sqlmodel"):
                return found
        return None

    def _file_of(self, module: str, near: Path) -> Path | None:
        key = module, near.parent
        if key not in self._found:
            inside = Path(*module.split("."))
            self._found[key] = next(
                (
                    file
                    for folder in self._starts_from(near.parent)
                    for file in (folder / f"{inside}.py", folder / inside / "__init__.py")
                    if file.is_file()
                ),
                None,
            )
        return self._found[key]

    def _starts_from(self, folder: Path) -> list[Path]:
        if folder not in self._starts:
            above = [each for each in (folder, *folder.parents) if each.is_relative_to(self.root)]
            every = [*self._folders, *above, *(each / "src" for each in above)]
            self._starts[folder] = [each for each in dict.fromkeys(every) if each.is_dir()]
        return self._starts[folder]


def _is_alias(value: ast.AST | None) -> TypeGuard[ast.expr]:
    return isinstance(value, ast.Name | ast.Attribute)


def module_name(path: Path) -> str:
    """Return the dotted name of the file at *path*, as far up as its folders are packages."""
    parts = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)
