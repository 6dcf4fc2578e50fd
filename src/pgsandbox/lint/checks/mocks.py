"""PGS201: no mock stands where the database belongs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pgsandbox.lint.checks import databases
from pgsandbox.lint.context import Context, Found
from pgsandbox.lint.names import argument, spelt, text_of
from pgsandbox.lint.source import walk

_MOCKS = {"AsyncMock", "MagicMock", "Mock", "NonCallableMagicMock", "NonCallableMock"}
_LIBRARIES = ("unittest.mock", "mock", "asynctest")
_MOCKERS = re.compile(r"(\w+_)?mocker")
_MONKEYPATCHES = re.compile(r"\w*(monkey|mpatch|m_patch)\w*|mp|m")
_NAMED_SESSION = re.compile(
    r"(^|_)(session|db|database|engine|conn|connection|uow)(_|$)|sessionmaker"
)
_ASKED = {"assert_awaited", "assert_called", "assert_not_called", "called", "call_count"}
_TOLD = {"return_value", "side_effect"}
_PROVIDES = re.compile(r"(^|_)(db|session|database|engine)(_|$)")

_MAKES = ast.Call, ast.FunctionDef, ast.AsyncFunctionDef
_DEEP = 3


def check(context: Context) -> Iterator[Found]:
    """Yield each mock of a session, an engine, a query or a repository."""
    if not any(word in context.source.text for word in ("mock", "Mock", "patch")):
        return
    for call in context.source.of(ast.Call):
        said = _patched(context, call) or _specified(context, call)
        if said:
            yield Found("PGS201", call, said)
    yield from _behaving_as_sessions(context)
    yield from _overrides(context)


def _patched(context: Context, call: ast.Call) -> str | None:
    how = _patcher(context, call.func)
    if how is None:
        return None
    for target in _targets(context, call, how):
        kind = databases.kind_of(context, target)
        if kind and not _keeps_the_real_one(context, call):
            return f"`{_short(target)}`, {kind}, is replaced"
    return None


def _short(target: str) -> str:
    return target.removesuffix("()")


def _patcher(context: Context, function: ast.expr) -> str | None:
    """Return in which of four ways *function* replaces something."""
    name = spelt(function)
    owner, _, last = name.rpartition(".")
    if last in ("setattr", "delattr"):
        is_named = _MONKEYPATCHES.fullmatch(owner.rpartition(".")[2])
        return "setattr" if is_named or _is_monkeypatch(context, function) else None
    root = owner.partition(".")[0]
    if _MOCKERS.fullmatch(root):
        return {"patch": "patch", "object": "object", "multiple": "multiple"}.get(last)
    dotted = context.names.dotted(function) or ""
    for library in _LIBRARIES:
        if dotted.startswith(f"{library}.patch"):
            rest = dotted.removeprefix(f"{library}.patch").lstrip(".")
            return {"": "patch", "object": "object", "multiple": "multiple"}.get(rest)
    return None


def _is_monkeypatch(context: Context, function: ast.expr) -> bool:
    """Whether *function* is a method of what ``pytest.MonkeyPatch`` made."""
    owner = function.value if isinstance(function, ast.Attribute) else function
    if not isinstance(owner, ast.Name):
        return False
    made = [each.value for each in context.names.bindings(owner.id, owner)]
    calls = [each.func for each in made if isinstance(each, ast.Call)]
    return any("MonkeyPatch" in spelt(each).split(".") for each in calls)


def _targets(context: Context, call: ast.Call, how: str) -> Iterator[str]:
    owner = argument(call, 0, "target")
    if owner is None:
        return
    text = text_of(owner)
    base = text if text is not None else _object(context, owner)
    if how == "patch" or (how == "setattr" and text is not None):
        if text is not None and isinstance(owner, ast.Constant):
            yield text
    elif how == "multiple" and base:
        for keyword in call.keywords:
            if keyword.arg and keyword.arg not in ("spec", "create", "spec_set", "autospec"):
                yield f"{base}.{keyword.arg}"
    elif base:
        attribute = text_of(argument(call, 1, "attribute", "name"))
        if attribute:
            yield f"{base}.{attribute}"


def _object(context: Context, node: ast.expr) -> str | None:
    """Return the dotted name of an object, or of the class that it is made from."""
    dotted = context.names.dotted(node)
    if dotted:
        return dotted
    if isinstance(node, ast.Call):
        return context.names.dotted(node.func)
    if isinstance(node, ast.Name):
        for binding in context.names.bindings(node.id, node):
            if isinstance(binding.value, ast.Call):
                made = context.names.dotted(binding.value.func)
                return f"{made}()" if made else None
            if binding.value is not None:
                return None
    return spelt(node) or None


def _keeps_the_real_one(context: Context, call: ast.Call) -> bool:
    """Whether the replacement calls the original, or leads to the test database."""
    if any(keyword.arg == "wraps" for keyword in call.keywords):
        return True
    given = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
    return any(
        context.follows_the_kit(each) is True
        for each in given
        if not isinstance(each, ast.Constant)
    )


def _specified(context: Context, call: ast.Call) -> str | None:
    name = _mock_name(context, call.func)
    if name is None:
        return None
    spec = argument(call, 0, "spec", "spec_set")
    if spec is None:
        return None
    dotted = _object(context, spec)
    kind = databases.kind_of(context, dotted) if dotted else None
    return f"{name} stands for `{spelt(spec)}`, {kind}" if kind else None


def _mock_name(context: Context, function: ast.expr) -> str | None:
    owner, _, last = spelt(function).rpartition(".")
    if last not in _MOCKS and last != "create_autospec":
        dotted = context.names.dotted(function) or ""
        last = dotted.rpartition(".")[2] if dotted.startswith(_LIBRARIES) else ""
        return last if last in _MOCKS else None
    if _MOCKERS.fullmatch(owner):
        return last
    dotted = context.names.dotted(function) or ""
    return last if dotted.startswith(_LIBRARIES) else None


def _behaving_as_sessions(context: Context) -> Iterator[Found]:
    """Yield the plain mocks that are told what a session's methods return, or asked about them."""
    said: set[ast.AST] = set()
    for node in context.source.of(ast.Attribute):
        if not (node.attr in _TOLD or node.attr in _ASKED or node.attr.startswith("assert_")):
            continue
        made = _mock_behind(context, node)
        if made is not None and made not in said:
            said.add(made)
            method = next(each for each in _chain(node)[1] if each in databases.SESSION_METHODS)
            yield Found("PGS201", made, f"a mock stands for a session: its {method}() is arranged")


def _mock_behind(context: Context, node: ast.Attribute) -> ast.Call | None:
    chain, methods = _chain(node)
    if not isinstance(chain, ast.Name) or not _NAMED_SESSION.search(chain.id.lower()):
        return None
    if methods[-1:] == ["session"]:
        methods.pop()  # Flask-SQLAlchemy's db.session
    if not methods or methods[-1] not in databases.SESSION_METHODS:
        return None
    for binding in context.names.bindings(chain.id, chain):
        made = _given_by_fixture(context, chain.id) if binding.is_parameter else binding.value
        if isinstance(made, ast.Call) and _is_plain_mock(context, made):
            return made
    return None


def _chain(node: ast.expr) -> tuple[ast.expr, list[str]]:
    """Return where a chain of attributes and calls begins, and its attributes from the end."""
    methods: list[str] = []
    while isinstance(node, ast.Attribute | ast.Call):
        if isinstance(node, ast.Attribute):
            methods.append(node.attr)
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node, methods


def _given_by_fixture(context: Context, name: str) -> ast.AST | None:
    fixture = context.names.fixtures.get(name)
    for node in walk(fixture) if fixture else ():
        if isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            if not isinstance(node.value, ast.Name):
                return node.value
            bindings = context.names.bindings(node.value.id, node.value)
            return bindings[0].value if bindings else None
    return None


def _is_plain_mock(context: Context, call: ast.Call) -> bool:
    return not call.args and _mock_name(context, call.func) in _MOCKS and not _has_spec(call)


def _has_spec(call: ast.Call) -> bool:
    return argument(call, 0, "spec", "spec_set") is not None


def _overrides(context: Context) -> Iterator[Found]:
    """Yield FastAPI's ``app.dependency_overrides[get_db] = lambda: MagicMock()``."""
    for assignment in context.source.of(ast.Assign):
        for target in assignment.targets:
            if not isinstance(target, ast.Subscript) or not spelt(target.value).endswith(
                "dependency_overrides"
            ):
                continue
            name = spelt(target.slice).rpartition(".")[2]
            if _PROVIDES.search(name) and _makes_mock(context, assignment.value):
                yield Found("PGS201", assignment, f"`{name}` is overridden by a mock")


def _makes_mock(context: Context, value: ast.AST, depth: int = 0) -> bool:
    for node in walk(value):
        if isinstance(node, ast.Call) and _mock_name(context, node.func):
            return True
        if isinstance(node, ast.Name) and depth < _DEEP:
            for binding in context.names.bindings(node.id, node):
                made = binding.value
                if isinstance(made, _MAKES) and _makes_mock(context, made, depth + 1):
                    return True
    return False
