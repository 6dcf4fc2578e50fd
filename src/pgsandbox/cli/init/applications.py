"""The application that tests talk to: Flask or FastAPI, a factory or an object, and its engines."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from pgsandbox.cli.init.models import Module, Sources
from pgsandbox.lint.names import spelt
from pgsandbox.lint.source import Function, walk

_FRAMEWORKS = {"FastAPI": "fastapi", "Flask": "flask", "APIFlask": "flask"}
_URI = "SQLALCHEMY_DATABASE_URI"
_VARIABLE = re.compile(r"(?i)(database|sqlalchemy|postgres|db)\w*(url|uri|dsn)$")


@dataclass(frozen=True)
class FoundApplication:
    """A web application, or what makes one."""

    reference: str
    """Its module and name, with a colon."""
    framework: str
    """``flask`` or ``fastapi``."""
    path: Path
    """The file that has it."""
    line: int
    """The line in it."""
    is_factory: bool
    """Whether it is a function that returns one."""
    takes: str = ""
    """How a factory is told of the database: ``mapping``, ``keywords``, ``object``, ``name``,
    ``held`` where it takes its configuration from a place of its own; or not at all."""
    parameter: str = ""
    """The name of the parameter that says it."""
    needs_arguments: bool = False
    """Whether it can't be called without any."""
    configuration: str = ""
    """What holds the configuration, by its reference: a class, a dictionary, a module."""


@dataclass(frozen=True)
class Variable:
    """An environment variable that the sources take a database's URL from."""

    name: str
    """Its name."""
    path: Path
    """The file that reads it."""
    line: int
    """The line in it."""


def applications(sources: Sources) -> list[FoundApplication]:
    """Return the applications and factories, the likeliest first."""
    found = [each for module in sources.modules.values() for each in _in_module(sources, module)]
    return sorted(
        found,
        key=lambda each: (
            not each.is_factory if each.framework == "flask" else each.is_factory,
            each.reference.count("."),
            each.reference.partition(":")[2] not in ("app", "create_app"),
            each.reference,
        ),
    )


def variables(sources: Sources) -> list[Variable]:
    """Return the environment variables that hold a database's URL."""
    found: dict[str, Variable] = {}
    for module in sources.modules.values():
        for node in ast.walk(module.source.tree):
            name = _variable(node)
            if name and _VARIABLE.search(name):
                line = getattr(node, "lineno", 1)
                found.setdefault(name, Variable(name, module.path, line))
    return list(found.values())


def _in_module(sources: Sources, module: Module) -> Iterator[FoundApplication]:
    if not any(word in module.source.text for word in ("Flask", "FastAPI", "create_app", "_app(")):
        return
    for name, bindings in module.names.of_module.items():
        for binding in bindings:
            match binding.value:
                case ast.Call() as call:
                    framework = _made_by(sources, module, call)
                    if framework:
                        reference = f"{module.name}:{name}"
                        yield FoundApplication(
                            reference, framework, module.path, call.lineno, False
                        )
                case ast.FunctionDef() as function:
                    framework = _returns(sources, module, function)
                    if framework and not function.name.startswith("_"):
                        yield _factory(sources, module, function, framework)


def _made_by(sources: Sources, module: Module, call: ast.Call, depth: int = 0) -> str:
    framework = _FRAMEWORKS.get(spelt(call.func).rpartition(".")[2], "")
    if framework or depth > 4:
        return framework
    found = sources.definition(module, call.func)
    if found is None or found.path is None or found.names is None:
        return ""
    owner = Module(found.names.module, found.path, found.names)
    if isinstance(found.node, ast.FunctionDef):
        return _returns(sources, owner, found.node, depth + 1)
    if isinstance(found.node, ast.ClassDef):
        named = [spelt(base).rpartition(".")[2] for base in found.node.bases]
        return next((_FRAMEWORKS[each] for each in named if each in _FRAMEWORKS), "")
    return ""


def _returns(sources: Sources, module: Module, function: Function, depth: int = 0) -> str:
    """Return the framework whose application *function* returns, or nothing."""
    made: dict[str, str] = {}
    answer = ""
    for node in walk(function):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as call)
            ):
                made.setdefault(name, _made_by(sources, module, call, depth + 1))
            case ast.Return(value=ast.Name(id=name)):
                answer = answer or made.get(name, "")
            case ast.Return(value=ast.Call() as call):
                answer = answer or _made_by(sources, module, call, depth + 1)
    return answer


def _factory(
    sources: Sources, module: Module, function: ast.FunctionDef, framework: str
) -> FoundApplication:
    given = function.args
    parameters = [*given.posonlyargs, *given.args]
    required = len(parameters) - len(given.defaults)
    required += sum(default is None for default in given.kw_defaults)
    takes, parameter, configuration = _configured_by(sources, module, function)
    return FoundApplication(
        f"{module.name}:{function.name}",
        framework,
        module.path,
        function.lineno,
        True,
        takes,
        parameter,
        required > 0,
        configuration,
    )


def _configured_by(
    sources: Sources, module: Module, function: ast.FunctionDef
) -> tuple[str, str, str]:
    """Return how the factory is told, by which parameter, and what holds the configuration."""
    given = function.args
    parameters = {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
    unpacked = given.kwarg.arg if given.kwarg else ""
    names = [each.arg for each in given.args]
    defaults = dict(zip(reversed(names), reversed(given.defaults), strict=False))
    answer = ("", "", "")
    for call in walk(function):
        if not isinstance(call, ast.Call) or "config" not in spelt(call.func):
            continue
        how = spelt(call.func).rpartition(".")[2]
        if how in ("update", "from_mapping"):
            told = next((name for name in _given_whole(call) if name in parameters), "")
            if told:
                return "mapping", told, ""
            if unpacked and unpacked in _given_whole(call):
                return "keywords", unpacked, ""
        elif how == "from_object" and call.args:
            answer = _by_object(sources, module, call.args[0], defaults, parameters, answer)
    return answer


def _given_whole(call: ast.Call) -> list[str]:
    """Return the names of what is given as a mapping, or unpacked into the call.

    Of ``settings or {}``, ``settings``.
    """
    unpacked = [keyword.value for keyword in call.keywords if keyword.arg is None]
    given = (*call.args[:1], *unpacked)
    return [spelt(each.values[0] if isinstance(each, ast.BoolOp) else each) for each in given]


def _by_object(
    sources: Sources,
    module: Module,
    given: ast.expr,
    defaults: Mapping[str, ast.expr],
    parameters: AbstractSet[str],
    before: tuple[str, str, str],
) -> tuple[str, str, str]:
    """Return what ``config.from_object`` says of the factory, *before* where that says more."""
    name = spelt(given)
    if name in parameters:
        default = defaults.get(name)
        held = _reference(sources, module, default) if default is not None else ""
        # A module can't be inherited from: the factory is left its default, and that is changed.
        return ("held", "", held) if held and ":" not in held else ("object", name, held)
    if isinstance(given, ast.Subscript) and spelt(given.slice) in parameters:
        return "name", spelt(given.slice), _reference(sources, module, given.value)
    if before[0]:
        return before
    text = given.value if isinstance(given, ast.Constant) else None
    return "held", "", str(text) if text else _reference(sources, module, given)


def _reference(sources: Sources, module: Module, node: ast.expr) -> str:
    found = sources.definition(module, node)
    if found is None:
        return ""
    owner, _, name = found.dotted.rpartition(".")
    if found.node is None:
        return found.dotted
    return f"{owner}:{name}" if owner else ""


def _variable(node: ast.AST) -> str:
    match node:
        case ast.Call(func=ast.Attribute() | ast.Name() as function, args=[first, *_]):
            called = spelt(function).rpartition(".")[2]
            is_environment = called in ("getenv", "config", "env", "str", "dj_db_url") or (
                called == "get" and spelt(function).endswith("environ.get")
            )
            if is_environment and isinstance(first, ast.Constant) and isinstance(first.value, str):
                return first.value
        case ast.Subscript(value=value, slice=ast.Constant(value=str() as name)):
            return name if spelt(value).endswith("environ") else ""
    return ""
