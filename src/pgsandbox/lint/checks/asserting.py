"""PGS304: a test that writes says what it expects of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pgsandbox.lint.context import Context, Found
from pgsandbox.lint.names import Names, spelt
from pgsandbox.lint.source import Function, walk

_DEEP = 4
_WRITES = {
    "add",
    "add_all",
    "bulk_insert_mappings",
    "bulk_save_objects",
    "commit",
    "flush",
    "merge",
}
_SESSION = re.compile(r"(^|[._])(session|db_session)$")
_CLIENT = re.compile(r"(^|[._])client$")
_SENDS = {"delete", "patch", "post", "put"}
_CHECKS = re.compile(
    r"(?i)assert|check|verify|expect|ensure|should|validate|raises|warns|fail|skip|compare|match"
    r"|snapshot|approve|regression|benchmark|raise_for_status|(^|_)is_valid|one$|one_or_none$"
)
_ON_PURPOSE = re.compile(
    r"(?i)not_raise|no_error|without_error|no_exception|not_fail|smoke|no_crash"
    r"|(^|_)(allow|accept|permit|tolerate)(s|ed|ted)?(_|$)"
)

_EXPECTED = {"check", "expect_errors", "expected", "status"}
"""Arguments by which a call compares on its own: WebTest's, subprocess.run's."""


def check(context: Context) -> Iterator[Found]:
    """Yield each test that writes and leaves, and checks nothing that could be seen from here."""
    for test in context.tests:
        if not _ON_PURPOSE.search(test.name) and _writes(test) and not _may_check(context, test):
            yield Found("PGS304", test, f"{test.name} writes and asserts nothing")


def _writes(test: Function) -> bool:
    for node in walk(test):
        if not isinstance(node, ast.Call):
            continue
        owner, _, verb = spelt(node.func).rpartition(".")
        if verb in _WRITES and _SESSION.search(owner):
            return True
        if verb in _SENDS and _CLIENT.search(owner):
            return True
    return False


def _may_check(context: Context, test: Function) -> bool:
    asked = {each.arg for each in [*test.args.args, *test.args.kwonlyargs]}
    if any(_CHECKS.search(name) for name in asked):
        return True
    if any(_CHECKS.search(spelt(each)) for each in test.decorator_list):
        return True
    if any(
        isinstance(each, ast.Call) and _CHECKS.search(spelt(each.func))
        for each in test.decorator_list
    ):
        return True
    return _has_check(context, context.names, test, 0)


def _has_check(context: Context, names: Names, function: ast.AST, depth: int) -> bool:
    for node in walk(function):
        if isinstance(node, ast.Assert | ast.Raise | ast.Match):
            return True
        if isinstance(node, ast.Call) and _call_checks(context, names, node, depth):
            return True
    return False


def _call_checks(context: Context, names: Names, call: ast.Call, depth: int) -> bool:
    name = spelt(call.func)
    last = name.rpartition(".")[2]
    if _CHECKS.search(last) or any(each.arg in _EXPECTED for each in call.keywords):
        return True
    if name in (f"self.{last}", f"cls.{last}"):
        return _method_checks(context, names, call, last, depth)
    if isinstance(call.func, ast.Name):
        for binding in names.bindings(last, call.func):
            if isinstance(binding.value, ast.FunctionDef | ast.AsyncFunctionDef):
                return depth > _DEEP or _has_check(context, names, binding.value, depth + 1)
            if binding.is_parameter:
                return True  # a fixture that is called: it may well be what looks
    return _function_checks(context, names, call, depth)


def _function_checks(context: Context, names: Names, call: ast.Call, depth: int) -> bool:
    dotted = names.dotted(call.func)
    if not dotted:
        return False
    found = context.application.definition(dotted, names.source.path)
    if found.path is None or found.names is None or not context.application.is_test(found.path):
        # What can't be read may check if it belongs to the tests.
        return found.path is None and not {"tests", "test", "conftest"}.isdisjoint(
            dotted.split(".")
        )
    if not isinstance(found.node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return depth > _DEEP or _has_check(context, found.names, found.node, depth + 1)


def _method_checks(context: Context, names: Names, call: ast.Call, name: str, depth: int) -> bool:
    inside = next(
        (each for each in names.source.around(call) if isinstance(each, ast.ClassDef)), None
    )
    for method in inside.body if inside else []:
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name == name:
            return depth > _DEEP or _has_check(context, names, method, depth + 1)
    return True  # a base class has it, and who knows what it does
