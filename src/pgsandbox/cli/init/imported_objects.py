"""What is there once a project's modules are imported: tables, engines, mapped classes."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import MetaData, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Mapper, configure_mappers

from pgsandbox import config, guard
from pgsandbox.errors import chain_of

_NAME = r"[A-Z][A-Z0-9]*_[A-Z0-9_]+"


def seen(root: Path, references: Sequence[str], others: Sequence[str]) -> dict[str, Any]:
    """Import *references*, then *others*, and return what ``Imported`` holds."""
    configured: list[Mapper[Any]] = []
    event.listen(Mapper, "mapper_configured", lambda mapper, _: configured.append(mapper))
    metadata = {reference: _metadata(config.resolve(reference)) for reference in references}
    tables = {name: len(each.tables) if each is not None else 0 for name, each in metadata.items()}
    for module in others:
        importlib.import_module(module)
    found = [each for each in metadata.values() if each is not None]
    return {
        "tables": tables,
        "engines": list(_engines(root)),
        "models": _models(found, configured),
        "missing": [],
    }


def called(root: Path, reference: str, refused: type[Exception]) -> dict[str, Any]:
    """Call the factory at *reference*, and return what ``Imported`` holds of its failure.

    One that was *refused* a connection would have come further in a run of the tests.
    """
    factory: Any = config.resolve(reference)
    if hasattr(factory, "app_context") and not isinstance(factory, type):
        return {}
    try:
        inspect.signature(factory).bind()
    except ValueError:
        pass  # a callable that has none
    except TypeError as error:
        return {"factory_error": f"it has arguments that have to be given: {error}"}
    try:
        factory()
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a project's code may raise anything
        if any(isinstance(each, refused) for each in chain_of(error)):
            return {}
        found = failure(root, error)
        return {
            "missing": found["missing"],
            "factory_error": found["error"],
            "factory_place": found["place"],
        }
    return {}


_LONGEST = 400


def failure(root: Path, error: BaseException) -> dict[str, Any]:
    """Return what ``Imported`` holds where *error* stopped the import."""
    cause: BaseException = error
    while cause.__cause__ is not None and type(cause).__module__.startswith("pgsandbox"):
        cause = cause.__cause__
    missing = _missing(cause)
    place = ""
    for frame in traceback.extract_tb(cause.__traceback__):
        file = Path(frame.filename)
        if file.is_relative_to(root) and "site-packages" not in file.parts:
            place = f"{file.relative_to(root).as_posix()}:{frame.lineno}"
    # What a validator of settings says stands in the lines after the first.
    lines = (str(cause).strip() or "no message").splitlines()
    said = f"{type(cause).__name__}: {' '.join(' '.join(lines).split())[:_LONGEST]}"
    return {"missing": missing, "error": guard.masked(said), "place": place}


def _missing(error: BaseException) -> list[str]:
    """Return the variables that *error* says are not set."""
    if isinstance(error, KeyError) and error.args:
        name = str(error.args[0])
        if re.fullmatch(_NAME, name):
            return [name]
    if "DJANGO_SETTINGS_MODULE" in str(error):  # beside it stands a setting, which is no variable
        return []
    said = re.search(rf"\b({_NAME})\b", str(error))
    if said and re.search(r"missing|not set|must be set|required|variable", str(error)):
        return [said[1]]
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return []
    # pydantic's: the field and the variable of settings have one name, but for its case.
    return [
        f"{'__'.join(str(part) for part in each['loc'])}".upper()
        for each in errors()
        if each.get("type") == "missing"
    ]


def _metadata(found: Any) -> MetaData | None:
    if isinstance(found, MetaData):
        return found
    inside = getattr(found, "metadata", None)
    return inside if isinstance(inside, MetaData) else None


def _engines(root: Path) -> Iterator[dict[str, Any]]:
    best: dict[int, tuple[bool, bool]] = {}
    found: dict[int, dict[str, Any]] = {}
    for name, module in sorted(sys.modules.items()):
        if not _is_of_project(module, root):
            continue
        elsewhere = _imported_names(module)
        for path, value in _with_engines(vars(module)):
            engine = getattr(value, "sync_engine", value)
            # One that no dotted name leads to is none that a setting could name.
            is_named = "[" not in path
            is_made_here = re.split(r"[.\[]", path)[0] not in elsewhere
            if id(engine) in best and best[id(engine)] >= (is_named, is_made_here):
                continue
            best[id(engine)] = (is_named, is_made_here)
            found[id(engine)] = {
                "reference": f"{name}:{path}",
                "url": _without_password(engine.url),
                "is_async": engine is not value,
                "is_named": is_named,
            }
    yield from found.values()


def _imported_names(module: ModuleType) -> set[str]:
    """Return the names that *module* has from another one, as its source says."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, SyntaxError):
        return set()
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _without_password(url: URL) -> str:
    # URL.set() leaves alone what it is given None for.
    bare = URL.create(
        url.drivername, url.username, None, url.host, url.port, url.database, url.query
    )
    return guard.masked(bare.render_as_string())  # an option may hold one as well


def _with_engines(names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in list(names.items()):
        if _is_engine(value):
            yield name, value
        if type(value) is dict:
            yield from ((f"{name}[{key}]", each) for key, each in value.items() if _is_engine(each))
        # type() and object's own access: a proxy, such as Flask's current_app, answers to neither
        # isinstance() nor getattr() outside of its context.
        if issubclass(type(value), type | ModuleType):
            continue
        try:
            inside = object.__getattribute__(value, "__dict__")
        except AttributeError:
            continue
        for attribute, each in list(inside.items()):
            if _is_engine(each):
                yield f"{name}.{attribute}", each


def _is_engine(value: object) -> bool:
    # What nobody imported has no instances, and importing it needs greenlet.
    asynchronous = sys.modules.get("sqlalchemy.ext.asyncio")
    is_async = asynchronous is not None and issubclass(type(value), asynchronous.AsyncEngine)
    return is_async or issubclass(type(value), Engine)


def _is_of_project(module: ModuleType | None, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    if not file:
        return False
    path = Path(file)
    return path.is_relative_to(root) and "site-packages" not in path.parts


def _models(
    metadata: Sequence[MetaData], configured: Sequence[Mapper[Any]]
) -> list[dict[str, Any]]:
    try:
        configure_mappers()
    except Exception:  # noqa: BLE001  # an application's own mistake; its tables are there all the same
        return []
    tables = [table for each in metadata for table in each.tables.values()]
    found = [
        _model(mapper)
        for mapper in configured
        if any(mapper.local_table is table for table in tables)
    ]
    return sorted(found, key=lambda each: (each["module"], each["name"]))


def _model(mapper: Mapper[Any]) -> dict[str, Any]:
    cls = mapper.class_
    return {
        "module": cls.__module__,
        "name": cls.__qualname__,
        "line": 0,
        "is_base": mapper.inherits is None,
        "is_importable": hasattr(sys.modules.get(cls.__module__), cls.__name__),
        "columns": [_column(key, mapper) for key in mapper.columns.keys()],  # noqa: SIM118  # its own kind of mapping
    }


def _column(key: str, mapper: Mapper[Any]) -> dict[str, Any]:
    column = mapper.columns[key]
    kind: Any = column.type
    if type(kind).__name__ == "AutoString":  # SQLModel's, for every str
        kind = kind.load_dialect_impl(postgresql.dialect())  # type: ignore[no-untyped-call]
    try:
        python = kind.python_type.__name__
    except Exception:  # noqa: BLE001  # a type may say nothing, in any way it likes
        python = ""
    enum_class = getattr(kind, "enum_class", None)
    is_generated = (
        column is mapper.local_table.c.get(column.key)
        and getattr(mapper.local_table, "autoincrement_column", None) is column
    )
    return {
        "key": key,
        "type": type(kind).__name__,
        "python": python,
        "length": getattr(kind, "length", None),
        "is_timezone": bool(getattr(kind, "timezone", False)),
        "enum": [enum_class.__module__, enum_class.__name__, next(iter(enum_class)).name]
        if enum_class
        else None,
        "choices": list(getattr(kind, "enums", []) or [])[:1],
        "is_required": not (
            column.nullable
            or column.default is not None
            or column.server_default is not None
            or column.computed is not None
            or column.identity is not None
            or is_generated
        ),
        "is_foreign": bool(column.foreign_keys),
        "is_key": column.primary_key,
    }
