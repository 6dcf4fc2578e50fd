"""Fixtures of one name, of which a test gets one: ours hidden by another's, or another's by ours.

A project that gives our names a meaning of its own, and uses ours for it, does so on purpose and is
told nothing: ``def db_session(db_session)``, or one that is made from ``pg.url``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pgsandbox.sandbox import call_sites

NAMES = frozenset(
    {
        *("db_session", "db_connection", "db_engine", "db_clock", "pg"),
        *("async_db_session", "async_db_engine"),
    }
)
"""The names that others may have taken, too."""
_OURS = "pgsandbox.plugin."

_Definitions = Mapping[str, Sequence[Any]]


def lines(items: Iterable[pytest.Item]) -> list[str]:
    """Return what to say of the names by which *items* ask for one of several fixtures."""
    tests: dict[str, int] = {}
    said: dict[tuple[int, ...], str] = {}
    for item in items:
        # pytest has no public way to ask which of several fixtures a test will get.
        found: _Definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
        for name in NAMES & found.keys():
            known = tuple(map(id, found[name]))
            if known not in said:
                said[known] = _line(name, found)
            if line := said[known]:
                tests[line] = tests.get(line, 0) + 1
    return [
        f"{line} {count} test{'' if count == 1 else 's'}" for line, count in sorted(tests.items())
    ]


def _line(name: str, definitions: _Definitions) -> str:
    *others, used = definitions[name]  # the last one is nearest to the test
    if str(used.func.__module__).startswith("_pytest"):
        return ""  # no fixture, but an argument of parametrize
    if _is_ours(used):
        hidden = [each for each in others if not _is_ours(each)]
        return f"its fixture {name} hides that of {_place(hidden[-1])} from" if hidden else ""
    if _uses_ours(name, len(others), definitions, frozenset()):
        return ""
    return f"the fixture {name} of {_place(used)} hides pgsandbox's from"


def _uses_ours(name: str, place: int, definitions: _Definitions, seen: frozenset[str]) -> bool:
    """Whether the fixture at *place* among those of *name* is ours, or asks for one of ours."""
    found = definitions.get(name, ())
    if not 0 <= place < len(found) or f"{name} {place}" in seen:
        return False
    used = found[place]
    if _is_ours(used) or "getfixturevalue" in _function(used).__code__.co_names:
        return True
    seen |= {f"{name} {place}"}
    return any(
        # One that asks for its own name gets the one that it overrides.
        _uses_ours(
            each,
            place - 1 if each == name else len(definitions.get(each, ())) - 1,
            definitions,
            seen,
        )
        for each in used.argnames
    )


def _is_ours(definition: Any) -> bool:
    return str(getattr(definition.func, "__module__", "")).startswith(_OURS)


def _function(definition: Any) -> Any:
    # pytest-asyncio wraps those of asynchronous code, and a class has bound ones.
    function = inspect.unwrap(definition.func)
    function = getattr(function, "func", function)
    return getattr(function, "__func__", function)


def _place(definition: Any) -> str:
    code = _function(definition).__code__
    if call_sites.is_own(code.co_filename):
        return f"{call_sites.relative(code.co_filename)}:{code.co_firstlineno}"
    module = str(getattr(definition.func, "__module__", "")).partition(".")[0]
    return f"the plugin {module}" if module else Path(code.co_filename).name
