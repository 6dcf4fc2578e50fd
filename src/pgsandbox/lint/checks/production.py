"""PGS101: what leads to the production database does not belong into a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pgsandbox.lint.application_sources import Definition
from pgsandbox.lint.context import (
    ENGINE_MAKERS,
    SCOPED,
    SESSION_MAKERS,
    SESSIONS,
    Context,
    Found,
    is_from_sqlalchemy,
)
from pgsandbox.lint.names import argument
from pgsandbox.lint.source import walk

_DEEP = 6
_FORBIDDEN = "Do without it, or take the name out of `forbidden-imports`."
_BOUND_BY = (
    (ENGINE_MAKERS, "", "an engine"),
    (SESSION_MAKERS, "bind", "a session maker"),
    (SESSIONS, "bind", "a session"),
    ({"SQLAlchemy"}, "app", "a Flask-SQLAlchemy object"),
)
"""Who makes what, and the argument without which it leads to no database yet."""


def check(context: Context) -> Iterator[Found]:
    """Yield each import, or first use through an imported module, of what tests may not have."""
    for statement, alias, dotted in context.names.imports():
        if context.source.is_for_type_checkers(statement):
            continue
        # An alias has a place of its own, and the statement the lines of the comment.
        yield from _found(context, dotted, alias, "imports")
    yield from _through_modules(context)


def bound_at_import(context: Context, found: Definition, depth: int = 0) -> str | None:
    """Return what *found* is if the application's import binds it to a database, or None."""
    node = found.node.value if isinstance(found.node, ast.Await) else found.node
    if not isinstance(node, ast.Call) or found.names is None or found.rest or depth > _DEEP:
        return None
    made = found.names.dotted(node.func)
    origin = context.application.origin(made, found.path or context.source.path) if made else None
    if is_from_sqlalchemy(origin, SCOPED):
        inner = _definition_in(context, found, argument(node, 0, "session_factory"))
        return "a scoped session" if inner and bound_at_import(context, inner, depth + 1) else None
    for names, argument_name, kind in _BOUND_BY:
        if is_from_sqlalchemy(origin, names):
            is_bound = not argument_name or _is_given(node, 0, argument_name)
            return kind if is_bound else None
    return _made_by_the_application(context, found, node, depth)


def _made_by_the_application(
    context: Context, found: Definition, call: ast.Call, depth: int
) -> str | None:
    maker = _definition_in(context, found, call.func)
    if maker is None:
        return None
    kind = bound_at_import(context, maker, depth + 1)
    if kind in ("a session maker", "a scoped session"):
        return "a session"
    if not isinstance(maker.node, ast.FunctionDef) or maker.rest:
        return None
    for node in walk(maker.node):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
            returned = Definition(maker.dotted, (), maker.path, node.value, maker.names)
            kind = bound_at_import(context, returned, depth + 2)
            if kind:
                return kind
    return None


def _definition_in(context: Context, found: Definition, node: ast.expr | None) -> Definition | None:
    if node is None or found.names is None:
        return None
    if isinstance(node, ast.Call):
        return Definition(found.dotted, (), found.path, node, found.names)
    path = found.path or context.source.path
    dotted = found.names.dotted(node)
    if dotted:
        return context.application.definition(dotted, path)
    if isinstance(node, ast.Name):
        for binding in found.names.bindings(node.id, node):
            if binding.value is not None:
                return Definition(
                    f"{found.names.module}.{node.id}", (), path, binding.value, found.names
                )
    return None


def _is_given(call: ast.Call, position: int, name: str) -> bool:
    given = argument(call, position, name)
    return given is not None and not (isinstance(given, ast.Constant) and given.value is None)


def _found(context: Context, dotted: str, node: ast.AST, verb: str) -> Iterator[Found]:
    definition = context.definition(dotted)
    if _is_forbidden(context, (dotted, *definition.via, definition.dotted)):
        said = f"the test {verb} `{dotted}`, which forbidden-imports names"
        yield Found("PGS101", node, said, _FORBIDDEN)
        return
    path = definition.path
    if context.redirect or path is None or context.application.is_test(path):
        return
    kind = bound_at_import(context, definition)
    if kind:
        name = dotted.rpartition(".")[2]
        defined = f"(defined as {definition.dotted})"
        yield Found(
            "PGS101", node, f"the test {verb} `{name}`, {kind} of the application {defined}"
        )


def _is_forbidden(context: Context, names: tuple[str, ...]) -> bool:
    return any(
        each == forbidden or each.startswith(f"{forbidden}.")
        for forbidden in context.forbidden
        for each in names
    )


def _through_modules(context: Context) -> Iterator[Found]:
    said: set[str] = set()
    for node in context.source.of(ast.Attribute):
        if not isinstance(node.ctx, ast.Load):
            continue  # a test that puts another engine there takes nothing from there
        dotted = context.names.dotted(node)
        if not dotted or dotted in said or dotted.partition(".")[0] in ("sqlalchemy", "pytest"):
            continue
        owner = context.definition(dotted.rpartition(".")[0])
        if owner.path is None or owner.node is not None or owner.rest:
            continue
        said.add(dotted)
        yield from _found(context, dotted, node, "uses")
