"""PGS303: a sequence does not roll back, so nobody knows the next primary key."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pgsandbox.lint.context import Context, Found
from pgsandbox.lint.names import Names, text_of
from pgsandbox.lint.source import walk

_KEYS = {"id", "pk"}


def check(context: Context) -> Iterator[Found]:
    """Yield each assertion of a primary key that neither the test nor its fixtures chose."""
    compared = [
        (comparison, number)
        for statement in context.source.of(ast.Assert)
        for comparison in walk(statement.test)
        if isinstance(comparison, ast.Compare)
        for number in _key(comparison)
    ]
    if not compared:
        return
    chosen = _chosen(context)
    for comparison, number in compared:
        if number not in chosen | _passed(context, comparison):
            yield Found("PGS303", comparison, f"the test expects the primary key {number}")


def _key(comparison: ast.Compare) -> Iterator[int]:
    if len(comparison.ops) != 1 or not isinstance(comparison.ops[0], ast.Eq):
        return
    sides = comparison.left, comparison.comparators[0]
    for key, number in (sides, reversed(sides)):
        match number:
            case ast.Constant(value=int() as value) if not isinstance(value, bool) and value > 0:
                if _is_key(key):
                    yield value


def _is_key(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr=name):
            return name in _KEYS
        case ast.Subscript(slice=ast.Constant(value=str() as name)):
            return name in _KEYS
    return False


def _chosen(context: Context) -> set[int]:
    """Return the numbers that this file, or a conftest.py above it, gives to somebody."""
    every = [context.names]
    for folder in context.source.path.parents:
        if not folder.is_relative_to(context.application.root):
            break
        if (folder / "conftest.py").is_file():
            every.append(context.application.names_of(folder / "conftest.py") or context.names)
    chosen: set[int] = set()
    for names in every:
        chosen |= _given_in(names)
    return chosen


def _passed(context: Context, comparison: ast.Compare) -> set[int]:
    """Return the numbers that the test passes to any call: one of them may be the key."""
    function = context.source.function_of(comparison)
    calls = [each for each in walk(function) if isinstance(each, ast.Call)] if function else []
    return {number for call in calls for each in call.args for number in _numbers(each)}


def _given_in(names: Names) -> set[int]:
    given: set[int] = set()
    for keyword in names.source.of(ast.keyword):
        if keyword.arg and keyword.arg.rpartition("_")[2] in _KEYS:
            given |= _numbers(keyword.value)
    for dictionary in names.source.of(ast.Dict):
        for key, value in zip(dictionary.keys, dictionary.values, strict=True):
            if (text_of(key) or "").rpartition("_")[2] in _KEYS:
                given |= _numbers(value)
    for assignment in names.source.of(ast.Assign):
        if any(_is_key(target) or _is_named_key(target) for target in assignment.targets):
            given |= _numbers(assignment.value)
    return given


def _is_named_key(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.lower().rpartition("_")[2] in _KEYS


def _numbers(node: ast.expr) -> set[int]:
    return {
        each.value
        for each in walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, int)
    }
