"""PGS301: a test waits for an event, not for some time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pgsandbox.lint.context import Context, Found
from pgsandbox.lint.source import Function, walk

_LEAVES = ast.Break, ast.Return, ast.Raise


def check(context: Context) -> Iterator[Found]:
    """Yield each ``time.sleep`` that is not the pause of a loop that looks for something."""
    if "sleep" not in context.source.text:
        return
    for call in context.source.of(ast.Call):
        if context.names.dotted(call.func) != "time.sleep" or _is_nothing(call):
            continue
        if not _is_polling(context, call):
            yield Found("PGS301", call, "time.sleep() waits for some time, not for an event")


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
