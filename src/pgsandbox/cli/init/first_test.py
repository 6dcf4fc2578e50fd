"""The first test: a row that it stores, read back by the application's own session."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgsandbox.cli.init.looking import Looked
from pgsandbox.cli.init.proposals import Line

_VALUES = {
    "bool": ("True", ""),
    "bytes": ('b"1"', ""),
    "date": ("date(2026, 1, 31)", "from datetime import date"),
    "Decimal": ('Decimal("1")', "from decimal import Decimal"),
    "dict": ("{}", ""),
    "float": ("1.0", ""),
    "int": ("1", ""),
    "list": ("[]", ""),
    "time": ("time(12, 0)", "from datetime import time"),
    "timedelta": ("timedelta(hours=1)", "from datetime import timedelta"),
    "UUID": ("uuid4()", "from uuid import uuid4"),
}
_WIDTH = 60
_COMPARED = {"str", "int", "bool"}


@dataclass(frozen=True)
class Side:
    """The way by which a test reaches the application's own session."""

    flask: str = ""
    """The Flask-SQLAlchemy object, by its dotted name."""
    engine: str = ""
    """The engine of the application, by its reference."""
    is_async: bool = False
    """Whether that engine is awaited."""


def lines(looked: Looked, side: Side) -> tuple[list[Line], list[str]]:
    """Return the lines of the test, and what has to be known besides."""
    chosen = _chosen(looked)
    if chosen is None:
        return _of_tables(looked), [
            "No model could be filled without guessing: the first test only looks at a table."
        ]
    model, arguments, imports = chosen
    fit = [each for each in arguments if each[2] in _COMPARED]
    compared = min(fit, key=lambda each: ("password" in each[0], each[2] != "str"), default=None)
    name = model["name"]
    imports = {*imports, f"from {model['module']} import {name}", "from sqlalchemy import select"}
    if compared is None:
        query, expected = f"select({name})", "is not None"
    else:
        key, value, _ = compared
        query = f"select({name}.{key}).where({name}.{key} == {value})"
        expected = f"== {value}"
        if value in ("True", "False"):
            query, expected = f"select({name}.{key})", f"is {value}"
    made = _made(name, arguments)
    if side.is_async:
        return _asynchronous(looked, side, made, query, expected, imports), []
    return _synchronous(looked, side, made, query, expected, imports), []


def _synchronous(
    looked: Looked, side: Side, made: list[str], query: str, expected: str, imports: set[str]
) -> list[Line]:
    asked = "app, db_session" if side.flask else "db_session"
    claim = (
        "the_application_reads_what_a_test_stored"
        if side.flask or side.engine
        else ("a_row_is_stored")
    )
    body = [
        *_added("db_session", made),
        Line("    db_session.commit()", "undone after the test, as everything else is"),
        Line(f"    stored = {query}"),
        Line(""),
    ]
    if side.flask:
        module, _, name = side.flask.rpartition(".")
        imports.add(f"from {module} import {name}")
        body += [
            Line("    with app.app_context():"),
            Line(
                f"        assert {name}.session.scalar(stored) {expected}",
                "the application's own session",
            ),
        ]
    elif side.engine:
        opened = _opened(side, imports)
        imports.add("from sqlalchemy.orm import Session")
        body += [
            Line(f"    with Session({opened}) as session:", "the application's own engine"),
            Line(f"        assert session.scalar(stored) {expected}"),
        ]
    else:
        body.append(Line(f"    assert db_session.scalar(stored) {expected}"))
    return [
        *_head(looked, imports),
        Line(f"def test_{claim}({asked}):"),
        *body,
    ]


def _asynchronous(
    looked: Looked, side: Side, made: list[str], query: str, expected: str, imports: set[str]
) -> list[Line]:
    opened = _opened(side, imports)
    imports.add("from sqlalchemy.ext.asyncio import AsyncSession")
    body = [
        *_added("async_db_session", made),
        Line("    await async_db_session.commit()", "undone after the test, as everything else is"),
        Line(f"    stored = {query}"),
        Line(""),
        Line(f"    async with AsyncSession({opened}) as session:", "the application's own engine"),
        Line(f"        assert await session.scalar(stored) {expected}"),
    ]
    name = "test_the_application_reads_what_a_test_stored"
    if "asyncio" in looked.plugins:
        imports.add("import pytest")
        mark = Line("@pytest.mark.asyncio", "pytest-asyncio is installed")
        return [*_head(looked, imports), mark, Line(f"async def {name}(async_db_session):"), *body]
    imports.add("import asyncio")
    return [
        *_head(looked, imports),
        Line(f"def {name}(async_db_session):"),
        Line("    async def store_and_read():", "pytest-asyncio is not installed"),
        *(Line(f"    {line.text}" if line.text else "", line.why) for line in body),
        Line(""),
        Line("    asyncio.run(store_and_read())"),
    ]


def _made(name: str, arguments: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return the call that makes the object, on one line where it fits."""
    given = [f"{key}={value}" for key, value, _ in arguments]
    whole = f"{name}({', '.join(given)})"
    if len(whole) < _WIDTH:
        return [whole]
    return [f"{name}(", *(f"    {each}," for each in given), ")"]


def _added(session: str, made: Sequence[str]) -> list[Line]:
    why = "the values that its columns ask for"
    if len(made) == 1:
        return [Line(f"    {session}.add({made[0]})", why)]
    first, *rest = made
    return [
        Line(f"    {session}.add(", why),
        *(Line(f"        {each}") for each in (first, *rest)),
        Line("    )"),
    ]


def _opened(side: Side, imports: set[str]) -> str:
    module, _, name = side.engine.partition(":")
    imports.add(f"from {module} import {name.partition('.')[0]}")
    return name


def _of_tables(looked: Looked) -> list[Line]:
    reference = looked.metadata[0]
    module, _, name = reference.partition(":")
    owner = looked.owner
    metadata = name if owner is not None and owner.kind == "MetaData" else f"{name}.metadata"
    imports = {f"from {module} import {name}", "from sqlalchemy import func, select"}
    return [
        *_head(looked, imports),
        Line("def test_every_table_is_there(db_connection):"),
        Line(f"    for table in {metadata}.sorted_tables:"),
        Line("        rows = select(func.count()).select_from(table)"),
        Line("        assert db_connection.scalar(rows) is not None"),
    ]


def _head(looked: Looked, imports: set[str]) -> list[Line]:
    """Return the imports as formatters order them: Python's own, libraries, the project's."""
    plain = sorted(each for each in imports if each.startswith("import "))
    named: dict[str, set[str]] = {}
    for each in imports.difference(plain):
        module, _, names = each.removeprefix("from ").partition(" import ")
        named.setdefault(module, set()).update(names.split(", "))
    whole = [f"from {module} import {', '.join(sorted(named[module]))}" for module in sorted(named)]
    ours = {name.partition(".")[0] for name in looked.sources.modules}
    groups: dict[int, list[Line]] = {0: [], 1: [], 2: []}
    for each in [*plain, *whole]:
        package = each.split()[1].partition(".")[0]
        place = 2 if package in ours else 0 if package in sys.stdlib_module_names else 1
        groups[place].append(Line(each))
    found: list[Line] = []
    for group in groups.values():
        found += [*([Line("")] if found and group else []), *group]
    return [*found, Line(""), Line("")]


Chosen = tuple[Mapping[str, Any], list[tuple[str, str, str]], set[str]]


def _chosen(looked: Looked) -> Chosen | None:
    """Return the model that is made most easily, its arguments, and the imports they need."""
    found: list[tuple[int, str, Chosen]] = []
    for model in looked.imported.models:
        if not (model["is_base"] and model["is_importable"]):
            continue
        required = [each for each in model["columns"] if each["is_required"]]
        if any(each["is_foreign"] for each in required):
            continue
        values = [(each, _value(each)) for each in required]
        if any(value is None for _, value in values) or not _takes_keywords(looked, model):
            continue
        if not values:
            values = _one_more(model)
        arguments = [
            (each["key"], value[0], each["python"]) for each, value in values if value is not None
        ]
        imports = {value[1] for _, value in values if value is not None and value[1]}
        is_told = not any(kind == "str" for _, _, kind in arguments)
        is_known = model["name"] in ("User", "Account")  # what every reader has an idea of
        rank = len(arguments) + 10 * is_told - 3 * is_known
        found.append((rank, model["name"], (model, arguments, imports)))
    return min(found, key=lambda each: each[:2])[2] if found else None


def _one_more(model: Mapping[str, Any]) -> list[tuple[Any, tuple[str, str] | None]]:
    """Return a column that may be empty but need not, so that there is something to compare."""
    for each in model["columns"]:
        if each["python"] == "str" and not each["is_foreign"] and not each["enum"]:
            return [(each, _value(each))]
    return []


def _value(column: Mapping[str, Any]) -> tuple[str, str] | None:
    python, key = column["python"], column["key"].lower()
    if column["enum"]:
        module, name, member = column["enum"]
        return f"{name}.{member}", f"from {module} import {name}"
    if column["choices"]:
        return f'"{column["choices"][0]}"', ""
    if python == "str":
        text = "ada@example.com" if "mail" in key else "ada"
        text = "https://example.com" if key.endswith("url") else text
        length = column["length"]
        return f'"{text[:length] if length else text}"', ""
    if python == "datetime":
        if column["is_timezone"]:
            return "datetime(2026, 1, 31, tzinfo=UTC)", "from datetime import UTC, datetime"
        return "datetime(2026, 1, 31)", "from datetime import datetime"
    return _VALUES.get(python)


def _takes_keywords(looked: Looked, model: Mapping[str, Any]) -> bool:
    """Whether the class is made by the names of its columns: has no __init__ of its own."""
    module = looked.sources.modules.get(model["module"])
    if module is None:
        return False
    for node in module.source.of(ast.ClassDef):
        if node.name == model["name"]:
            return not any(
                isinstance(each, ast.FunctionDef) and each.name == "__init__" for each in node.body
            )
    return False
