"""What the names in one file stand for: imports, aliases, parameters, fixtures."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from pgsandbox.lint.source import Function, Source

KIT_FIXTURES = frozenset(
    {
        "async_db_connection",
        "async_db_engine",
        "async_db_session",
        "db_connection",
        "db_engine",
        "db_session",
        "pg",
        "pgsandbox_app",
    }
)
"""The fixtures whose engine, session or URL is that of the test database."""

_DEEP = 12
_SCOPES = ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda


@dataclass(frozen=True)
class Binding:
    """One place where a name gets its meaning."""

    dotted: str | None = None
    """What an import names."""
    value: ast.AST | None = None
    """The expression that is assigned, or the function or class that is defined."""
    is_parameter: bool = False
    """Whether a caller gives it; a fixture, in a test."""


class Names:
    """The names of *source*, the file of *module*, or of that package's ``__init__``."""

    def __init__(self, source: Source, module: str = "", *, is_package: bool = False) -> None:
        self.source = source
        self.module = module
        parts = module.split(".") if module else []
        self._package = parts if is_package else parts[:-1]
        self._tables: dict[ast.AST, dict[str, list[Binding]]] = {}
        self.stars: list[str] = []

    def dotted(self, node: ast.AST, depth: int = 0) -> str | None:
        """Return the dotted name of what *node* stands for, or None if no import says it."""
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value, depth)
            return f"{owner}.{node.attr}" if owner else None
        if not isinstance(node, ast.Name) or depth > _DEEP:
            return None
        bindings = self.bindings(node.id, node)
        if not bindings:
            return f"{self.stars[0]}.{node.id}" if len(self.stars) == 1 else None
        for binding in bindings:
            if binding.dotted or isinstance(binding.value, ast.Name | ast.Attribute):
                return binding.dotted or self.dotted(cast("ast.expr", binding.value), depth + 1)
        return None

    def bindings(self, name: str, at: ast.AST) -> list[Binding]:
        """Return the places that give *name* its meaning where *at* stands, of one scope."""
        for scope in self._scopes(at):
            table = self.table(scope)
            if name in table:
                return table[name]
        return []

    def table(self, scope: ast.AST) -> dict[str, list[Binding]]:
        """Return every name that *scope*, a function or the module, binds."""
        if scope not in self._tables:
            self._tables[scope] = self._collected(scope)
        return self._tables[scope]

    @cached_property
    def of_module(self) -> dict[str, list[Binding]]:
        """The names that an import of this module offers."""
        return self.table(self.source.tree)

    @cached_property
    def fixtures(self) -> dict[str, Function]:
        """The fixtures of pytest that this file defines, by the name that tests ask for."""
        return {
            name: function
            for function in self.source.functions()
            if (name := self._fixture_name(function))
        }

    def imports(self) -> Iterator[tuple[ast.Import | ast.ImportFrom, ast.alias, str]]:
        """Yield each imported name with its statement and what it names."""
        for plain in self.source.of(ast.Import):
            for alias in plain.names:
                yield plain, alias, alias.name
        for statement in self.source.of(ast.ImportFrom):
            base = self._base_of(statement)
            for alias in statement.names:
                if alias.name != "*":
                    yield statement, alias, f"{base}.{alias.name}"

    def _scopes(self, at: ast.AST) -> Iterator[ast.AST]:
        inner: ast.AST = at
        for node in self.source.around(at):
            # A decorator, a default and an annotation belong to the scope around the function.
            if isinstance(node, _SCOPES) and _is_inside(node, inner):
                yield node
            inner = node
        yield self.source.tree

    def _collected(self, scope: ast.AST) -> dict[str, list[Binding]]:
        table: dict[str, list[Binding]] = defaultdict(list)
        if isinstance(scope, _SCOPES):
            given = scope.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            for argument in every:
                if argument is not None:
                    table[argument.arg].append(Binding(is_parameter=True))
        for node in self.source.binders(scope):
            for name, binding in self._bound_by(node):
                table[name].append(binding)
        return dict(table)

    def _bound_by(self, node: ast.AST) -> Iterator[tuple[str, Binding]]:
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from self._imported_by(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, Binding(value=node)
            case ast.ExceptHandler(name=str() as name):
                yield name, Binding()
            case _:
                for target, value in _assignments(node):
                    yield from _targets(target, value)

    def _imported_by(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Binding]]:
        match node:
            case ast.Import():
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    yield name, Binding(alias.name if alias.asname else name)
            case ast.ImportFrom():
                base = self._base_of(node)
                for alias in node.names:
                    if alias.name == "*":
                        self.stars.append(base)
                    else:
                        yield alias.asname or alias.name, Binding(f"{base}.{alias.name}")

    def _base_of(self, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        upwards = statement.level - 1
        package = self._package[: len(self._package) - upwards] if upwards else self._package
        return ".".join([*package, *filter(None, [statement.module])])

    def _fixture_name(self, function: Function) -> str | None:
        for decorator in function.decorator_list:
            made = decorator.func if isinstance(decorator, ast.Call) else decorator
            if spelt(made).rpartition(".")[2] not in ("fixture", "yield_fixture"):
                continue
            keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
            for keyword in keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
            return function.name
        return None


def spelt(node: ast.AST) -> str:
    """Return *node* as it is written, if it is names and dots; else what stands after the dots."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts)).lstrip(".")


def text_of(node: ast.AST | None) -> str | None:
    """Return the text that *node* writes out, the beginning of it where the rest is computed."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=[first, *_]):
            return text_of(first)
        case ast.BinOp(left=left, op=ast.Add()):
            return text_of(left)
    return None


def argument(call: ast.Call, position: int | None, *names: str) -> ast.expr | None:
    """Return the argument of *call* at *position* or by one of *names*."""
    for keyword in call.keywords:
        if keyword.arg in names:
            return keyword.value
    if position is None or position >= len(call.args):
        return None
    # What stands behind a starred argument has no known position.
    before = call.args[: position + 1]
    return None if any(isinstance(each, ast.Starred) for each in before) else before[-1]


def _assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.AST]]:
    match node:
        case ast.Assign():
            for target in node.targets:
                yield target, node.value
        case ast.AnnAssign(value=ast.expr() as value) | ast.NamedExpr(value=value):
            yield node.target, value
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            yield node.target, _part_of(node.iter)
        case ast.withitem(optional_vars=ast.expr() as target):
            yield target, node.context_expr


def _targets(target: ast.expr, value: ast.AST) -> Iterator[tuple[str, Binding]]:
    match target:
        case ast.Name():
            yield target.id, Binding(value=value)
        case ast.Starred():
            yield from _targets(target.value, ast.Tuple([], ast.Load()))
        case ast.Tuple() | ast.List():
            parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for place, each in enumerate(target.elts):
                fits = len(parts) == len(target.elts)
                # Which part of it, nobody can tell; but it comes from there.
                yield from _targets(each, parts[place] if fits else _part_of(value))


def _part_of(value: ast.AST) -> ast.AST:
    return ast.Subscript(cast("ast.expr", value), ast.Constant(None), ast.Load())


def _is_inside(scope: ast.AST, inner: ast.AST) -> bool:
    body = getattr(scope, "body", [])
    return inner is body if isinstance(body, ast.AST) else inner in body
