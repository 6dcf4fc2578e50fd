"""The findings of the factories' check: their codes, and where each can be mended."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgsandbox.reports import Finding

PAGE = "reference/factories/"

CODES: dict[str, str] = {
    "no-factory": "No factory makes the mapped class.",
    "no-such-field": "The factory declares what its model does not have.",
    "not-fed": "A column needs a value, and nothing gives it one.",
    "not-persisted": "The first object can't be written.",
    "not-twice": "The second object can't be written, or a batch of them.",
    "repeated": "A unique column gets the same value again.",
    "depends-on-others": "The objects can't be written once other factories have written theirs.",
    "naive-time": "A column with a time zone gets a time without one.",
    "enum-value": "A value of an enum column can't be written.",
    "trait": "An object with the trait can't be written.",
    "other-base": "The factory can't be given the session of the check.",
}
"""Every code, with what it says of a factory."""


def finding(
    code: str,
    message: str,
    of: type,
    *,
    root: Path,
    field: str | None = None,
    details: Mapping[str, str] | None = None,
    remedy: str = "",
) -> Finding:
    """Return a finding about *of*, a factory or a model, at the line of its *field*."""
    path, line = place_of(of, field)
    return Finding(
        code,
        message,
        subject=f"{of.__name__}.{field}" if field else of.__name__,
        path=_relative(path, root),
        line=line,
        details=details or {},
        remedy=remedy,
        page=f"{PAGE}#{code}",
    )


def place_of(of: type, field: str | None) -> tuple[str | None, int | None]:
    """Return the file and line where *of* declares *field*, or where its class begins.

    A field that a base declares is found there.
    """
    for each in of.__mro__ if field else (of,):
        path = getattr(sys.modules.get(each.__module__), "__file__", None)
        if path is None:
            continue
        lines = _lines(path).get(each.__qualname__, {})
        if field in lines:
            return path, lines[field]
        if field is not None and field in lines.get(PARAMS, {}):
            return path, lines[PARAMS][field]
    with contextlib.suppress(TypeError, OSError):
        path = inspect.getsourcefile(of)
        if path is not None:
            return path, _lines(path).get(of.__qualname__, {}).get(None)
    return None, None


PARAMS = "\0Params"


@functools.cache
def _lines(path: str) -> dict[str, Any]:
    """Return the line of each name in each class of a file; None stands for the class itself."""
    found: dict[str, Any] = {}
    try:
        tree = ast.parse(Path(path).read_text("utf-8"))
    except (OSError, ValueError, SyntaxError):
        return found

    def visit(node: ast.AST, outer: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                name = f"{outer}{child.name}"
                found[name] = {**_assigned(child), None: child.lineno}
                visit(child, f"{name}.")
            elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                visit(child, outer)

    visit(tree, "")
    return found


def _assigned(node: ast.ClassDef) -> dict[str, Any]:
    lines: dict[str, Any] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    lines[target.id] = statement.lineno
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            lines[statement.target.id] = statement.lineno
        elif isinstance(statement, ast.FunctionDef):
            lines[statement.name] = statement.lineno
        elif isinstance(statement, ast.ClassDef) and statement.name == "Params":
            lines[PARAMS] = _assigned(statement)
    return lines


def _relative(path: str | None, root: Path) -> str | None:
    if path is None:
        return None
    place = Path(path).resolve()
    here = root.resolve()
    return (place.relative_to(here) if place.is_relative_to(here) else place).as_posix()
