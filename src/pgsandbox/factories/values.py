"""A sensible value for a column, as the code that stands for it in a factory."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy
from sqlalchemy import Column, types
from sqlalchemy.dialects import postgresql as pg

from pgsandbox.factories.common_types import (
    COMMON,
    enum_member,
    enum_values,
    moment,
    numbers_from,
    texts,
    uuids,
)
from pgsandbox.factories.imports import name_of
from pgsandbox.factories.logic import Undecided
from pgsandbox.factories.postgresql_types import special
from pgsandbox.factories.value import UUID_, Ask, Value, constant, sequence, text


def value_of(column: Column[Any], name: str, *, is_unique: bool, hint: type | None = None) -> Value:
    """Return a value for *column*, which the attribute *name* holds.

    With *is_unique* no two objects share it, as far as its type has values enough. *hint* is the
    class that the attribute is annotated with.
    """
    found = _of_type(column.type, name, is_unique=is_unique)
    if found.note and hint is not None:
        return _of_class(hint, column.type, name) or found
    return found


def _of_class(hint: type, type_: types.TypeEngine[Any], name: str) -> Value | None:
    """Return an object of a class of the project, if it can be made from a text or a number."""
    source = name_of(hint)
    if source is None:
        return None
    inner: types.TypeEngine[Any] = type_
    while isinstance(inner, types.TypeDecorator):
        inner = inner.impl_instance
    for each in (texts(name, getattr(inner, "length", None)), numbers_from(1)):

        def make(n: int, given: Value = each) -> Any:
            return hint(given.make(n))

        try:
            is_taken = stored(type_, make(0)) is not REFUSED
        except Exception:  # noqa: BLE001 - the project's code, which may refuse by any error
            is_taken = False
        if is_taken:
            return sequence(f"{source.name}({each.code})", make, source)
    return None


def _of_type(type_: types.TypeEngine[Any], name: str, *, is_unique: bool) -> Value:
    if isinstance(type_, types.TypeDecorator) and not isinstance(type_, types.Interval):
        return _decorated(type_, name, is_unique=is_unique)
    if isinstance(type_, pg.DOMAIN):
        return _of_type(type_.data_type, name, is_unique=is_unique)
    if isinstance(type_, types.ARRAY):
        return _array(type_, name, is_unique=is_unique)
    ask = Ask(type_, name, is_unique)
    found = special(ask) or _common(ask)
    if found is None:
        return constant("None", None, note=f"No value is known for the type {_named(type_)}.")
    return found


def _named(type_: types.TypeEngine[Any]) -> str:
    return type(type_).__name__


def _common(ask: Ask) -> Value | None:
    for kinds, make in COMMON:
        if isinstance(ask.type_, kinds):
            return make(ask)
    return None


def _array(type_: Any, name: str, *, is_unique: bool) -> Value:
    item = _of_type(type_.item_type, name, is_unique=is_unique)
    if is_unique and item.is_sequence:
        return sequence(f"[{item.code}]", lambda n: [item.make(n)], *item.imports)
    return replace(constant("[]", []), is_mutable=True)


# -- types that wrap others -----------------------------------------------------------------------


def _decorated(type_: types.TypeDecorator[Any], name: str, *, is_unique: bool) -> Value:
    """Return the first value that the decorator itself takes."""
    for candidate in _candidates(type_, name, is_unique):
        if stored(type_, candidate.make(0)) is not REFUSED:
            return candidate
    return constant(
        "None", None, note=f"No value was found that {_named(type_)}.process_bind_param takes."
    )


REFUSED = object()


def stored(type_: types.TypeEngine[Any], value: Any) -> Any:
    """Return what the server gets for *value*; `REFUSED` where the type raises an error."""
    if isinstance(value, Undecided):
        return value
    if isinstance(type_, types.Enum):
        by_member = {id(member): label for label, member in enum_values(type_)}
        return by_member.get(id(value), value)
    if not isinstance(type_, types.TypeDecorator) or isinstance(type_, types.Interval):
        return value
    dialect = pg.dialect()  # type: ignore[no-untyped-call]
    try:
        processor = type_.dialect_impl(dialect).bind_processor(dialect)
        if type(type_).process_bind_param is not types.TypeDecorator.process_bind_param:
            return type_.process_bind_param(value, dialect)
        # What wraps another decorator leaves the work to that one.
        _ = processor(value) if processor is not None else value
        return stored(type_.impl_instance, value)
    except Exception:  # noqa: BLE001 - the project's code, which may refuse by any error
        return REFUSED


def _candidates(type_: types.TypeDecorator[Any], name: str, is_unique: bool) -> Iterator[Value]:
    found = _enum_class_in(type_)
    if found is not None:
        members = list(found)
        if members:
            yield enum_member(members[0])
    choices = getattr(type_, "choices", None)
    if isinstance(choices, list | tuple) and choices and isinstance(choices[0], tuple):
        first = choices[0][0]
        yield constant(text(first) if isinstance(first, str) else repr(first), first)
    impl = type_.impl_instance
    server = type_.load_dialect_impl(pg.dialect())  # type: ignore[no-untyped-call]
    if isinstance(server, types.Uuid):
        yield uuids(Ask(type_.impl_instance, name, is_unique))
        as_text = "str(UUID(int=n + 1))"
        yield sequence(as_text, lambda n: str(UUID(int=n + 1)), UUID_)
        return
    if isinstance(impl, types.DateTime):
        yield moment(is_aware=True, is_unique=is_unique)
        yield moment(is_aware=False, is_unique=is_unique)
    yield from _by_python_type(type_, impl, name, is_unique)
    yield _of_type(impl, name, is_unique=is_unique)
    for code, value in (("{}", {}), ("[]", [])):
        yield replace(constant(code, value), is_mutable=True)
    yield uuids(Ask(None, name, is_unique))
    yield texts(name, None)
    yield constant("1", 1)
    yield constant('b"\\x00"', b"\x00")


def _by_python_type(
    type_: types.TypeDecorator[Any], impl: types.TypeEngine[Any], name: str, is_unique: bool
) -> Iterator[Value]:
    try:
        python, under = type_.python_type, impl.python_type
    except NotImplementedError:
        return
    if python is under:
        return
    kinds: dict[type, types.TypeEngine[Any]] = {
        UUID: sqlalchemy.Uuid(),
        dict: sqlalchemy.JSON(),
        int: sqlalchemy.Integer(),
        str: sqlalchemy.String(),
        bool: sqlalchemy.Boolean(),
        Decimal: sqlalchemy.Numeric(),
    }
    if python in kinds:
        yield _of_type(kinds[python], name, is_unique=is_unique)
    if python is list:
        yield replace(constant("[]", []), is_mutable=True)


def _enum_class_in(type_: types.TypeDecorator[Any]) -> type[enum.Enum] | None:
    held: list[Any] = [*vars(type_).values(), *vars(type(type_)).values()]
    for value in held:
        if isinstance(value, type) and issubclass(value, enum.Enum):
            return value
    return None
