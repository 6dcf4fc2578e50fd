"""PGS102 and PGS103: databases of a test's own, and SQLite in PostgreSQL's place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pgsandbox.lint.context import ENGINE_MAKERS, Context, Found
from pgsandbox.lint.names import argument, spelt, text_of

_SQLITE = re.compile(r"sqlite(\+\w+)?://")
_SETTING = re.compile(r"(?i)(database|db|sqlalchemy|engine)_?(test_?)?(uri|url|dsn)s?$")
_CONNECTS = re.compile(
    r"(?i)(^|[._])(create_(test_)?app|make_app|app_factory|\w*engine|connect|database)$"
)

_CONNECTORS = {
    "asyncpg.connect",
    "asyncpg.create_pool",
    "psycopg.AsyncConnection.connect",
    "psycopg.Connection.connect",
    "psycopg.connect",
    "psycopg2.connect",
}
"""The functions by which drivers connect, past SQLAlchemy."""
_MAPPINGS = ("config.update", "config.from_mapping")
_READS = re.compile(r"(^|\.)(getenv|environ\.get)$")

_PARTS = ast.JoinedStr, ast.BinOp, ast.IfExp, ast.BoolOp, ast.FormattedValue
"""What a text may be part of, and still be that text."""


def check(context: Context) -> Iterator[Found]:
    """Yield each engine that is not made from the kit's URL, and each use of SQLite."""
    for call in context.source.of(ast.Call):
        if context.is_from_sqlalchemy(call.func, ENGINE_MAKERS):
            yield from _engine(context, call)
        elif context.names.dotted(call.func) in _CONNECTORS:
            yield from _connection(context, call)
        elif spelt(call.func).endswith(_MAPPINGS):
            yield from _configured(context, call)
    for constant in context.source.of(ast.Constant):
        if isinstance(constant.value, str) and _SQLITE.match(constant.value):
            yield from _sqlite(context, constant)


def _engine(context: Context, call: ast.Call) -> Iterator[Found]:
    url = argument(call, 0, "url", "configuration")
    if url is None or _SQLITE.match(_written(context, url) or ""):
        return
    if _creates_by(call) or context.follows_the_kit(url) is not False:
        return
    name = spelt(call.func).rpartition(".")[2]
    yield Found("PGS102", call, f"{name}() makes an engine of the test's own")


def _connection(context: Context, call: ast.Call) -> Iterator[Found]:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if given and all(context.follows_the_kit(each) is False for each in given):
        name = context.names.dotted(call.func)
        yield Found("PGS102", call, f"{name}() opens a connection of the test's own")


def _configured(context: Context, call: ast.Call) -> Iterator[Found]:
    """Yield each setting of an application that leads it to another database."""
    for name, value in _settings(call):
        if not _SETTING.search(name) or _SQLITE.match(_written(context, value) or ""):
            continue
        if context.follows_the_kit(value) is False and _is_some(value):
            yield Found("PGS102", value, f"{name} leads to a database of the test's own")


def _settings(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg, keyword.value
    for each in call.args:
        if isinstance(each, ast.Dict):
            for key, value in zip(each.keys, each.values, strict=True):
                yield text_of(key) or "", value


def _is_some(value: ast.expr) -> bool:
    return not (isinstance(value, ast.Constant) and value.value is None)


def _creates_by(call: ast.Call) -> bool:
    return any(keyword.arg in ("creator", "async_creator") for keyword in call.keywords)


def _written(context: Context, url: ast.expr) -> str | None:
    if isinstance(url, ast.Name):
        bindings = context.names.bindings(url.id, url)
        values = [binding.value for binding in bindings if binding.value is not None]
        return text_of(values[0]) if len(values) == 1 else None
    if isinstance(url, ast.Call) and spelt(url.func).endswith(("make_url", "str")):
        return _written(context, url.args[0]) if url.args else None
    if isinstance(url, ast.Call) and _READS.search(spelt(url.func)):
        return _written(context, url.args[1]) if len(url.args) > 1 else None
    return text_of(url)


def _sqlite(context: Context, constant: ast.Constant) -> Iterator[Found]:
    if _is_used_to_connect(context, constant):
        scheme = constant.value.partition(":")[0] if isinstance(constant.value, str) else ""
        yield Found("PGS103", constant, f"{scheme}:// puts SQLite in PostgreSQL's place")


def _is_used_to_connect(context: Context, constant: ast.Constant) -> bool:
    inner: ast.AST = constant
    for outer in context.source.around(constant):
        if isinstance(outer, ast.Call) and _READS.search(spelt(outer.func)):
            # The value that a variable has where nobody sets it.
            if any(_SETTING.search(text_of(each) or "") for each in outer.args[:1]):
                return True
        elif not isinstance(outer, _PARTS):
            return _receives(context, outer, inner)
        inner = outer
    return False


def _receives(context: Context, outer: ast.AST, inner: ast.AST) -> bool:
    match outer:
        case ast.keyword(arg="url"):
            call = context.source.parent(outer)
            return isinstance(call, ast.Call) and _connects(context, call)
        case ast.keyword(arg=str() as name):
            return bool(_SETTING.search(name))
        case ast.Call():
            return _connects(context, outer) or _sets(outer, inner)
        case ast.Dict():
            keys = [
                key for key, value in zip(outer.keys, outer.values, strict=True) if value is inner
            ]
            return any(_SETTING.search(text_of(key) or "") for key in keys)
        case ast.Assign(targets=targets) | ast.AnnAssign(target=targets):
            named: list[ast.expr] = [*targets] if isinstance(targets, list) else [targets]
            return any(map(_is_setting, named)) or _becomes_engine(context, outer, named)
    return False


def _connects(context: Context, call: ast.Call) -> bool:
    if context.is_from_sqlalchemy(call.func, ENGINE_MAKERS):
        return True
    name = spelt(call.func)
    if name.endswith(("make_url", "str")):
        parent = context.source.parent(call)
        return isinstance(parent, ast.Call) and _connects(context, parent)
    return bool(_CONNECTS.search(name))


def _sets(call: ast.Call, value: ast.AST) -> bool:
    # monkeypatch sets variables of the environment, and items of a configuration.
    if not spelt(call.func).endswith((".setenv", ".setitem", ".setattr", ".setdefault")):
        return False
    before = [text_of(each) or "" for each in call.args if each is not value]
    return any(_SETTING.search(each) for each in before)


def _is_setting(target: ast.expr) -> bool:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return bool(_SETTING.search(name)) and name.isupper()
        case ast.Subscript(slice=ast.Constant(value=str() as name)):
            return bool(_SETTING.search(name))
    return False


def _becomes_engine(
    context: Context, assignment: ast.Assign | ast.AnnAssign, targets: list[ast.expr]
) -> bool:
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    urls = [
        argument(call, 0, "url")
        for call in context.source.of(ast.Call)
        if context.is_from_sqlalchemy(call.func, ENGINE_MAKERS)
    ]
    return any(
        binding.value is assignment.value
        for url in urls
        if isinstance(url, ast.Name) and url.id in names
        for binding in context.names.bindings(url.id, url)
    )
