"""PGS301: a test of a database waits for an event, not for some time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pgsandbox.lint.context import LIBRARIES, Context, Found, uses_sqlalchemy
from pgsandbox.lint.source import Function, walk

_DATABASE = re.compile(r"(?i)(^|_)(app|client|conn|connection|database|db|engine|session)(_|$)")
_LEAVES = ast.Break, ast.Return, ast.Raise


def check(context: Context) -> Iterator[Found]:
    """Yield each ``time.sleep`` that is not the pause of a loop that looks for something."""
    if "sleep" not in context.source.text:
        return
    for call in context.source.of(ast.Call):
        if context.names.dotted(call.func) != "time.sleep" or _is_nothing(call):
            continue
        if not _is_polling(context, call) and _is_about_a_database(context, call):
            yield Found("PGS301", call, "time.sleep() waits for some time, not for an event")


def _is_about_a_database(context: Context, call: ast.Call) -> bool:
    """Whether the test around *call* has to do with a database; any of the file, in a helper."""
    function = context.source.function_of(call)
    while function is not None and context.source.function_of(function) is not None:
        function = context.source.function_of(function)
    if function is not None and (function in context.tests or context.is_fixture(function)):
        return _touches(context, function)
    return any(_touches(context, each) for each in context.tests)


def _touches(context: Context, function: Function) -> bool:
    asked = [each.arg for each in [*function.args.args, *function.args.kwonlyargs]]
    if any(_DATABASE.search(name) or context.is_of_the_kit(name) for name in asked):
        return True
    return any(
        _leads_to_a_database(context, node)
        for node in walk(function)
        if isinstance(node, ast.Name | ast.Attribute)
    )


def _leads_to_a_database(context: Context, node: ast.AST) -> bool:
    dotted = context.names.dotted(node)
    if not dotted:
        return False
    found = context.definition(dotted)
    if found.path is None:
        return dotted.partition(".")[0] in LIBRARIES
    return found.path != context.source.path and uses_sqlalchemy(found.names)


def _is_nothing(call: ast.Call) -> bool:
    return any(isinstance(each, ast.Constant) and each.value == 0 for each in call.args)


def _is_polling(context: Context, call: ast.Call) -> bool:
    for node in context.source.around(call):
        if isinstance(node, Function):
            return False
        if isinstance(node, ast.While) and not _is_endless(node):
            return True
        if isinstance(node, ast.While | ast.For) and any(
            isinstance(each, _LEAVES) for each in walk(node)
        ):
            return True
    return False


def _is_endless(loop: ast.While) -> bool:
    return isinstance(loop.test, ast.Constant)
