"""One file of Python as the rules see it: its text, its tree, and where each node stands."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

LARGEST = 5_000_000
"""The bytes of the largest file that is read: a tree takes a hundred times as much memory."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = TypeVar("Node", bound=ast.AST)

_Index = tuple[dict[type, list[ast.AST]], dict[ast.AST, ast.AST], dict[ast.AST, list[ast.AST]]]
_CONTEXTS = {ast.Load, ast.Store, ast.Del}
_SCOPES = {ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef}
_BINDERS = {
    ast.AnnAssign,
    ast.Assign,
    ast.AsyncFor,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.ExceptHandler,
    ast.For,
    ast.FunctionDef,
    ast.Import,
    ast.ImportFrom,
    ast.NamedExpr,
    ast.comprehension,
    ast.withitem,
}


class Unreadable(Exception):
    """A file is not Python, or not text; the message says why, and where if that is known."""

    def __init__(self, why: str, line: int = 1, column: int = 1) -> None:
        super().__init__(why)
        self.why = why
        self.line = line
        self.column = column


@dataclass(frozen=True, eq=False)
class Source:
    """A file that could be read."""

    path: Path
    """Where it is."""
    text: str
    """What it says, with ``\\n`` at the end of each line."""
    tree: ast.Module
    """The same as Python's parser reads it."""

    @cached_property
    def lines(self) -> list[str]:
        """Its lines as the parser counts them: a form feed ends none."""
        return self.text.split("\n")

    def place(self, node: ast.AST) -> tuple[int, int]:
        """Return line and column of *node*, both from 1; the column counts characters."""
        line: int = getattr(node, "lineno", 1)
        offset: int = getattr(node, "col_offset", 0)  # in bytes of UTF-8
        before = self.lines[line - 1].encode()[:offset]
        return line, len(before.decode(errors="replace")) + 1

    def of(self, kind: type[Node]) -> list[Node]:
        """Return every node of exactly *kind*."""
        return cast("list[Node]", self._index[0].get(kind, []))

    def binders(self, scope: ast.AST) -> list[ast.AST]:
        """Return the nodes that bind names in *scope*, a function or the module, in order."""
        return self._index[2].get(scope, [])

    def functions(self) -> list[Function]:
        """Return every function, asynchronous or not."""
        return [*self.of(ast.FunctionDef), *self.of(ast.AsyncFunctionDef)]

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Return the node that holds *node*."""
        return self._index[1].get(node)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes that hold *node*, from the innermost."""
        parent = self.parent(node)
        while parent is not None:
            yield parent
            parent = self.parent(parent)

    def function_of(self, node: ast.AST) -> Function | None:
        """Return the innermost function that *node* stands in."""
        kinds = ast.FunctionDef, ast.AsyncFunctionDef
        return next((each for each in self.around(node) if isinstance(each, kinds)), None)

    def is_for_type_checkers(self, node: ast.AST) -> bool:
        """Whether *node* stands below ``if TYPE_CHECKING``, which no run reaches."""
        return any(
            isinstance(each, ast.If) and names_type_checking(each.test)
            for each in self.around(node)
        )

    @cached_property
    def _index(self) -> _Index:
        nodes: dict[type, list[ast.AST]] = defaultdict(list)
        parents: dict[ast.AST, ast.AST] = {}
        binders: dict[ast.AST, list[ast.AST]] = defaultdict(list)
        waiting: list[tuple[ast.AST, ast.AST]] = [(self.tree, self.tree)]
        while waiting:
            node, scope = waiting.pop()
            kind = node.__class__
            nodes[kind].append(node)
            if kind in _BINDERS:
                binders[scope].append(node)
            if kind in _SCOPES:
                scope = node
            below = children(node)
            for child in below:
                parents[child] = node
            # The last in is the first out: so the nodes come in the order of the text.
            waiting.extend((child, scope) for child in reversed(below))
        return nodes, parents, binders


def read(path: Path) -> Source:
    """Return the file at *path*, or raise Unreadable."""
    try:
        if path.stat().st_size > LARGEST:
            raise Unreadable(f"it is larger than {LARGEST // 1_000_000} MB")
        content = path.read_bytes()
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    return parsed(path, content)


def parsed(path: Path, content: bytes) -> Source:
    """Return *content* as the file at *path*, or raise Unreadable."""
    text = _decoded(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is somebody else's business
            tree = ast.parse(text, str(path))
    except SyntaxError as error:
        why = f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg)
        raise Unreadable(why, error.lineno or 1, max(error.offset or 1, 1)) from error
    except ValueError as error:  # a NUL character, in Python 3.11
        raise Unreadable(str(error)) from error
    except (RecursionError, MemoryError) as error:
        raise Unreadable("it is nested too deeply for Python's parser") from error
    return Source(path, text, tree)


def children(node: ast.AST) -> list[ast.AST]:
    """Return what stands directly in *node*; the contexts of names are left out."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = node.__dict__.get(name)
        if value.__class__ is list:
            for each in value:
                if isinstance(each, ast.AST):
                    found.append(each)  # noqa: PERF401 for most nodes this loop is shortest
        elif isinstance(value, ast.AST) and value.__class__ not in _CONTEXTS:
            found.append(value)
    return found


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield *node* and all that is in it, in the order of the text."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        yield each
        waiting.extend(reversed(children(each)))


def names_type_checking(test: ast.expr) -> bool:
    """Whether *test* is ``TYPE_CHECKING``, however it was imported."""
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False


def _decoded(content: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except SyntaxError as error:
        raise Unreadable(str(error)) from error
    except (UnicodeDecodeError, LookupError) as error:
        raise Unreadable(str(error)) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
