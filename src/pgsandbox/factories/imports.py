"""What a written module imports, sorted and wrapped as Ruff does."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

WIDTH = 100


@dataclass(frozen=True, order=True)
class Import:
    """One name that a module needs from another."""

    module: str
    """The module that it is imported from, or that is imported itself."""
    attribute: str = ""
    """The name in it; empty where the module itself is meant."""
    alias: str = ""
    """The name here, where it is another one."""
    inner: str = ""
    """What follows the name, where a class stands in another one."""

    @property
    def name(self) -> str:
        """How code refers to it."""
        return (self.alias or self.attribute or self.module) + self.inner


def name_of(cls: type) -> Import | None:
    """Return how *cls* is imported; None if it can't be."""
    outer, _, inner = cls.__qualname__.partition(".")
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        if not name.isidentifier() or keyword.iskeyword(name):
            return None
        found = getattr(found, name, None)
    if found is not cls:
        return None
    return Import(cls.__module__, outer, inner=f".{inner}" if inner else "")


def lines_of(imports: Iterable[Import], first_party: Collection[str]) -> list[str]:
    """Return the import statements, in the three sections of isort.

    *first_party* names the packages of the project; they come last.
    """
    plain = {Import(each.module, each.attribute, each.alias) for each in imports}
    sections: list[list[str]] = [[], [], []]
    for module in sorted({each.module for each in plain}, key=_module_key):
        wanted = [each for each in plain if each.module == module]
        section = sections[_section(module, first_party)]
        section.extend(_statements(module, wanted))
    for section in sections:
        section.sort(key=lambda line: line.startswith("from "))
    lines: list[str] = []
    for section in filter(None, sections):
        lines += ["", *section] if lines else section
    return [line for each in lines for line in each.split("\n")]


def _module_key(module: str) -> tuple[str, str]:
    return module.lower(), module


def _section(module: str, first_party: Collection[str]) -> int:
    top = module.partition(".")[0]
    if top in first_party:
        return 2
    return 0 if top in sys.stdlib_module_names else 1


def _statements(module: str, wanted: list[Import]) -> list[str]:
    found = [
        f"import {module} as {each.alias}" if each.alias else f"import {module}"
        for each in wanted
        if not each.attribute
    ]
    members = sorted(
        (each for each in wanted if each.attribute), key=lambda each: _member_key(each.attribute)
    )
    names = [
        f"{each.attribute} as {each.alias}" if each.alias else each.attribute for each in members
    ]
    if names:
        line = f"from {module} import {', '.join(names)}"
        if len(line) > WIDTH:
            inner = "".join(f"    {name},\n" for name in names)
            line = f"from {module} import (\n{inner})"
        found.append(line)
    return found


def _member_key(name: str) -> tuple[int, str, str]:
    # isort's order: CONSTANTS, then Classes, then the rest.
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name.lower(), name
