"""PGS104 to PGS106: tables, isolation and cleaning that the kit does already."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pgsandbox.lint.context import Context, Found
from pgsandbox.lint.names import argument, spelt, text_of
from pgsandbox.lint.source import Function, walk

_TRUNCATE = re.compile(r"\s*truncate\s+\S", re.IGNORECASE)
_DELETE = re.compile(r"\s*delete\s+from\s", re.IGNORECASE)
_EXECUTES = {"execute", "exec_driver_sql", "text", "scalar", "scalars"}
_TEARDOWN = {"setUp", "tearDown", "asyncSetUp", "asyncTearDown", "setup_method", "teardown_method"}
_SESSION = re.compile(r"(^|[._])(session|db)$", re.IGNORECASE)
_BINDS = re.compile(r"(engine|conn|connection|bind)$", re.IGNORECASE)


def check(context: Context) -> Iterator[Found]:
    """Yield what makes tables, isolates tests or cleans up by hand."""
    for node in context.source.of(ast.Attribute):
        if node.attr in ("create_all", "drop_all") and _is_metadata(context, node):
            yield Found("PGS104", node, f"{node.attr} makes or drops the application's tables")
    for call in context.source.of(ast.Call):
        yield from _recipes(context, call)
        if _is_truncate(call) and _cleans(context, call):
            yield Found("PGS106", call, "TRUNCATE empties tables around each test")
    for loop in context.source.of(ast.For):
        if _empties_tables(loop) and _cleans(context, loop):
            yield Found("PGS106", loop.iter, "the loop empties every table around each test")
    yield from _outer_transactions(context)
    yield from _purges(context)


def _is_metadata(context: Context, node: ast.Attribute) -> bool:
    owner = node.value
    if _is_of_this_file(context, owner):
        return False
    found = context.names.dotted(owner)
    if spelt(owner).endswith(".metadata") or (found or "").endswith(".metadata"):
        return True
    if found:
        definition = context.definition(found)
        made = definition.node.func if isinstance(definition.node, ast.Call) else None
        if made is not None and definition.names is not None and not definition.rest:
            maker = spelt(made).rpartition(".")[2]
            return maker in ("MetaData", "SQLAlchemy")
        if definition.path is not None and definition.node is not None:
            return False
    return _is_called_as_metadata(context, node, spelt(owner).rpartition(".")[2])


def _is_called_as_metadata(context: Context, node: ast.Attribute, owner: str) -> bool:
    call = context.source.parent(node)
    if not isinstance(call, ast.Call) or call.func is not node:
        return False
    if owner.endswith("metadata"):
        return True
    if owner != "db":
        return False
    first = call.args[0] if call.args else None
    return first is None or bool(_BINDS.search(spelt(first)))


def _is_of_this_file(context: Context, owner: ast.expr) -> bool:
    # A test may have tables of its own: Base, or a MetaData, that the file itself defines.
    if _has_own_tables(context, spelt(owner)):
        return True
    if spelt(owner).startswith("self."):
        return _is_assigned(context, spelt(owner))
    while isinstance(owner, ast.Attribute):
        owner = owner.value
    if not isinstance(owner, ast.Name):
        return False
    return any(
        isinstance(binding.value, ast.ClassDef | ast.Call)
        for binding in context.names.bindings(owner.id, owner)
    )


def _has_own_tables(context: Context, name: str) -> bool:
    return any(
        spelt(metadata) == name
        for call in context.source.of(ast.Call)
        if spelt(call.func).rpartition(".")[2] == "Table"
        for metadata in [argument(call, 1, "metadata")]
        if metadata is not None
    )


def _is_assigned(context: Context, name: str) -> bool:
    return any(
        spelt(target) == name and isinstance(assignment.value, ast.Call)
        for assignment in context.source.of(ast.Assign)
        for target in assignment.targets
    )


def _recipes(context: Context, call: ast.Call) -> Iterator[Found]:
    for keyword in call.keywords:
        is_mode = keyword.arg == "join_transaction_mode" and text_of(keyword.value)
        if is_mode and context.follows_the_kit(call) is not True:
            yield Found("PGS105", call, "join_transaction_mode isolates the test by hand")
    if spelt(call.func).rpartition(".")[2] in ("listens_for", "listen"):
        event = argument(call, 1, "identifier")
        if text_of(event) == "after_transaction_end":
            yield Found(
                "PGS105", call, "the listener restarts savepoints to isolate the test by hand"
            )


def _outer_transactions(context: Context) -> Iterator[Found]:
    for fixture in context.names.fixtures.values():
        begun = _begun_in(context, fixture)
        yields = [n.lineno for n in walk(fixture) if isinstance(n, ast.Yield)]
        for call in walk(fixture):
            if not isinstance(call, ast.Call) or not yields or call.lineno <= min(yields):
                continue
            owner, _, verb = spelt(call.func).rpartition(".")
            if verb == "rollback" and owner in begun:
                yield Found("PGS105", call, f"`{owner}` isolates the test by hand")


def _purges(context: Context) -> Iterator[Found]:
    """Yield the first statement of each fixture or teardown that deletes rows and commits it."""
    for function in context.source.functions():
        if not (context.is_fixture(function) or function.name in _TEARDOWN):
            continue
        calls = [node for node in walk(function) if isinstance(node, ast.Call)]
        commits = [call.lineno for call in calls if spelt(call.func).endswith(".commit")]
        yields = [node.lineno for node in walk(function) if isinstance(node, ast.Yield)]
        loops = [node for node in walk(function) if isinstance(node, ast.For)]
        of_tables = {id(n) for loop in loops if _empties_tables(loop) for n in walk(loop)}
        for call in calls:
            is_kept = any(line >= call.lineno for line in commits)
            is_teardown = not yields or call.lineno > min(yields)
            if is_kept and id(call) not in of_tables and _is_delete(context, call, is_teardown):
                yield Found("PGS106", call, f"{function.name} deletes rows around each test")
                break


def _is_delete(context: Context, call: ast.Call, is_teardown: bool) -> bool:
    if context.is_from_sqlalchemy(call.func, {"delete"}):
        return True
    owner, _, verb = spelt(call.func).rpartition(".")
    if verb in _EXECUTES and call.args and _DELETE.match(text_of(call.args[0]) or ""):
        return True
    if verb != "delete" or not isinstance(call.func, ast.Attribute):
        return False
    behind = call.func.value
    if not call.args and isinstance(behind, ast.Call):
        return spelt(behind.func).endswith("query")
    return is_teardown and bool(call.args) and bool(_SESSION.search(owner))


def _begun_in(context: Context, function: Function) -> set[str]:
    begun = set()
    for node in walk(function):
        if isinstance(node, ast.Assign):
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            if not isinstance(value, ast.Call) or not spelt(value.func).endswith(".begin"):
                continue
            if context.follows_the_kit(value) is not True:
                begun |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return begun


def _is_truncate(call: ast.Call) -> bool:
    name = spelt(call.func).rpartition(".")[2]
    return (
        name in _EXECUTES and bool(call.args) and bool(_TRUNCATE.match(text_of(call.args[0]) or ""))
    )


def _empties_tables(loop: ast.For) -> bool:
    is_of_tables = any(
        isinstance(node, ast.Attribute) and node.attr == "sorted_tables" for node in walk(loop.iter)
    )
    return is_of_tables and any(
        _deletes(node) for statement in loop.body for node in walk(statement)
    )


def _deletes(node: ast.AST) -> bool:
    match node:
        case ast.Name(id="delete") | ast.Attribute(attr="delete"):
            return True
        case ast.Constant(value=str() as text):
            return bool(_DELETE.match(text))
    return False


def _cleans(context: Context, node: ast.AST) -> bool:
    function = context.source.function_of(node)
    return function is not None and (context.is_fixture(function) or function.name in _TEARDOWN)
