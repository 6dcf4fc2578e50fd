"""Fixtures of the project, and of plugins that are installed, which are named like one of ours."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

from pgsandbox.cli.init.places import source_of
from pgsandbox.lint.names import KIT_FIXTURES, Names
from pgsandbox.reports import Finding


def hiding(root: Path, conftests: Mapping[Path, Names]) -> Iterator[Finding]:
    """Yield the fixtures of *conftests* that hide one of ours, and do not use it."""
    for file, names in conftests.items():
        for name, function in names.fixtures.items():
            if hides(names, name):
                yield Finding(
                    "fixture",
                    f"the fixture {name} hides the one of pgsandbox below "
                    f"{file.parent.name or '.'}/",
                    path=file.relative_to(root).as_posix(),
                    line=function.lineno,
                    remedy="Rename it, or delete it where a test is to have pgsandbox's.",
                )


def hides(names: Names, name: str) -> bool:
    """Whether the fixture *name* of a conftest is named like one of ours, and uses none."""
    return name in KIT_FIXTURES and not _uses_ours(names, name, frozenset())


def _uses_ours(names: Names, name: str, seen: frozenset[str]) -> bool:
    function = names.fixtures.get(name)
    if function is None or name in seen:
        return name in KIT_FIXTURES  # one that asks for its own name gets the one below it
    given = function.args
    asked = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return any(_uses_ours(names, each, seen | {name}) for each in asked)


def hidden() -> Iterator[Finding]:
    """Yield the fixtures of installed plugins that ours hide, as far as their module shows them."""
    for plugin in importlib.metadata.entry_points(group="pytest11"):
        if plugin.module.partition(".")[0] == "pgsandbox":
            continue
        file = _file_of(plugin.module)
        source = source_of(file) if file is not None else None
        if file is None or source is None:
            continue
        names = Names(source, plugin.module, is_package=file.stem == "__init__")
        places = {name: function.lineno for name, function in names.fixtures.items()}
        places |= {
            alias.asname or alias.name: statement.lineno for statement, alias, _ in names.imports()
        }
        shown = Path(*plugin.module.split(".")).with_suffix(".py")
        shown = Path(*plugin.module.split("."), "__init__.py") if file.stem == "__init__" else shown
        for name in sorted(KIT_FIXTURES & places.keys()):
            yield Finding(
                "fixture",
                f"the plugin {plugin.name} has a fixture {name}, too, which pgsandbox's hides",
                path=shown.as_posix(),
                line=places[name],
                remedy=f"Give the plugin's another name in a conftest.py, or -p no:{plugin.name}.",
            )


def _file_of(module: str) -> Path | None:
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found is not None and found.origin else None
