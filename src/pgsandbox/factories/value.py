"""What a factory gives to a column: code, and the values that it stands for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pgsandbox.factories.imports import Import

TRIED = (0, 1, 12)
"""The numbers for which a sequence is tried."""


@dataclass(frozen=True)
class Value:
    """What a factory gives to one column."""

    code: str
    """An expression; in a sequence it may use ``n``."""
    make: Callable[[int], Any]
    """Its value for the object with this number."""
    imports: tuple[Import, ...] = ()
    """What the expression needs."""
    is_sequence: bool = False
    """Whether each object has a value of its own."""
    is_mutable: bool = False
    """Whether two objects must not share it."""
    note: str = ""
    """What the reader has to decide, where this is only a guess."""


def constant(code: str, value: Any, *imports: Import, note: str = "") -> Value:
    """Return a value that is the same in every object."""
    return Value(code, lambda _: value, imports, note=note)


def sequence(code: str, make: Callable[[int], Any], *imports: Import) -> Value:
    """Return a value that counts."""
    return Value(code, make, imports, is_sequence=True)


def text(value: str) -> str:
    """Return the literal of *value*, quoted as formatters do."""
    if '"' in value and "'" not in value:
        return repr(value)
    quoted = json.dumps(value, ensure_ascii=False)
    return quoted if value.isprintable() else _double_quoted(repr(value))


def _double_quoted(code: str) -> str:
    return f'"{code[1:-1]}"' if code[:1] == "'" and '"' not in code else code


DT = Import("datetime", "", "dt")
DECIMAL = Import("decimal", "Decimal")
UUID_ = Import("uuid", "UUID")
RANGE = Import("sqlalchemy.dialects.postgresql", "Range")


@dataclass(frozen=True)
class Ask:
    """A value that is asked for."""

    type_: Any
    """The type of the column."""
    name: str
    """The attribute that holds it."""
    is_unique: bool = False
    """Whether no two objects may share it."""
