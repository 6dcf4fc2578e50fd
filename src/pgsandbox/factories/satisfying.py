"""Chooses values for the columns of a row so that its CHECK constraints hold."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Column, types
from sqlalchemy.dialects.postgresql import DOMAIN

from pgsandbox.factories import values
from pgsandbox.factories.common_types import enum_value, enum_values, moment, numbers_from, texts
from pgsandbox.factories.conditions import Condition
from pgsandbox.factories.logic import PRESENT, Undecided
from pgsandbox.factories.value import DECIMAL, DT, TRIED, Value, constant, sequence, text

_MOST = 20_000
"""Combinations that are tried for one constraint."""

Choice = Value | Undecided | None
"""A value, one of which only its presence is known, or NULL."""


@dataclass(frozen=True)
class Cell:
    """One column of the row."""

    column: Column[Any]
    name: str
    """The attribute that holds it."""
    is_unique: bool
    """Whether it has to stay a sequence."""
    is_key: bool
    """Whether it is a foreign key, which has a parent or is NULL."""
    is_fixed: bool
    """Whether the mapper or the server alone decides it."""


Row = dict[str, Choice]
"""What is chosen, by the name of the column."""


def satisfy(conditions: list[Condition], cells: Mapping[str, Cell], row: Row) -> list[Condition]:
    """Change *row* until *conditions* hold, as little as possible; return what stays open."""
    for condition in conditions:
        if _result(condition, cells, row) is False:
            concerned = [each for each in conditions if each.columns & condition.columns]
            changed = _changed(condition, concerned, cells, row)
            if changed is not None:
                row.update(changed)
    return [each for each in conditions if _is_open(each, cells, row)]


def _is_open(condition: Condition, cells: Mapping[str, Cell], row: Row) -> bool:
    result = _result(condition, cells, row)
    return result is False or isinstance(result, Undecided)


def _result(condition: Condition, cells: Mapping[str, Cell], row: Row) -> Any:
    """Return False if it is broken for one of the numbers that are tried."""
    results = []
    for number in TRIED:
        env = {name: _stored(cells[name], row[name], number) for name in condition.columns & {*row}}
        results.append(condition.evaluate(env))
    if any(each is False for each in results):
        return False
    return next((each for each in results if isinstance(each, Undecided)), True)


def _stored(cell: Cell, choice: Choice, number: int) -> Any:
    if not isinstance(choice, Value):
        return choice
    stored = values.stored(cell.column.type, choice.make(number))
    if stored is values.REFUSED or isinstance(stored, UUID):
        return PRESENT
    return stored


def _changed(
    condition: Condition, concerned: list[Condition], cells: Mapping[str, Cell], row: Row
) -> Row | None:
    names = sorted(name for name in condition.columns if name in cells)
    options = [_options(cells[name], row[name], condition) for name in names]
    combinations = itertools.islice(itertools.product(*map(range, map(len, options))), _MOST)
    # The fewest changes first, and among them the first candidates.
    for places in sorted(combinations, key=lambda each: (sum(map(bool, each)), sum(each), each)):
        tried = {
            **row,
            **{
                name: choices[place]
                for name, choices, place in zip(names, options, places, strict=True)
            },
        }
        if _result(condition, cells, tried) is True and not any(
            _result(each, cells, tried) is False for each in concerned
        ):
            return {name: tried[name] for name in names}
    return None


def _options(cell: Cell, now: Choice, condition: Condition) -> list[Choice]:
    """Return what the column may hold, with what it holds now first."""
    if cell.is_fixed:
        return [now]
    found: list[Choice] = [now]
    if cell.is_key:
        if now is None:
            found.append(PRESENT)
        return found
    if now is None:
        found.append(values.value_of(cell.column, cell.name, is_unique=cell.is_unique))
    found += _candidates(cell, condition)
    if cell.column.nullable and now is not None:
        found.append(None)
    return found


@dataclass(frozen=True)
class _Asked:
    """A column that is to satisfy a condition."""

    type_: Any
    cell: Cell
    condition: Condition


def _candidates(cell: Cell, condition: Condition) -> Iterator[Value]:
    type_: Any = cell.column.type
    while isinstance(type_, types.TypeDecorator | DOMAIN):
        type_ = type_.data_type if isinstance(type_, DOMAIN) else type_.impl_instance
    for kind, make in _BY_KIND:
        if isinstance(type_, kind):
            yield from make(_Asked(type_, cell, condition))
            return


def _numbers(condition: Condition) -> list[Any]:
    numbers = [each for each in condition.constants if isinstance(each, int | Decimal)]
    return list(dict.fromkeys(numbers))


def _members(ask: _Asked) -> Iterator[Value]:
    yield from (enum_value(ask.type_, each) for _, each in enum_values(ask.type_))


def _both(_: _Asked) -> Iterator[Value]:
    yield constant("True", True)
    yield constant("False", False)


def _moments(ask: _Asked) -> Iterator[Value]:
    for days in (1, -1):
        yield moment(is_aware=bool(ask.type_.timezone), days=days)


def _days(_: _Asked) -> Iterator[Value]:
    yield constant("dt.date(2026, 1, 2)", dt.date(2026, 1, 2), DT)


def _one_item(ask: _Asked) -> Iterator[Value]:
    item = values.value_of(Column("item", ask.type_.item_type), ask.cell.name, is_unique=False)
    code = f"[{item.code}]"
    if item.is_sequence:
        yield sequence(code, lambda n: [item.make(n)], *item.imports)
    else:
        yield constant(code, [item.make(0)], *item.imports)


def _whole(ask: _Asked) -> Iterator[Value]:
    numbers = _numbers(ask.condition)
    for number in dict.fromkeys(int(each) + step for each in numbers for step in (0, 1, -1)):
        yield numbers_from(number) if ask.cell.is_unique else constant(str(number), number)


_STEPS = (Decimal(0), Decimal(1), Decimal(-1), Decimal("0.5"), Decimal("-0.5"))


def _fractional(ask: _Asked) -> Iterator[Value]:
    numbers = _numbers(ask.condition)
    for number in dict.fromkeys(Decimal(each) + step for each in numbers for step in _STEPS):
        if ask.type_.asdecimal:
            is_whole = number == number.to_integral_value()
            shown = str(int(number)) if is_whole else f'"{number}"'
            yield constant(f"Decimal({shown})", number, DECIMAL)
        else:
            yield constant(str(float(number)), float(number))


def _textual(ask: _Asked) -> Iterator[Value]:
    for each in _texts_for(ask.cell, ask.condition):
        if each.is_sequence or not ask.cell.is_unique:
            yield each


def _texts_for(cell: Cell, condition: Condition) -> Iterator[Value]:
    for word in dict.fromkeys(condition.constants):
        if isinstance(word, str) and word not in condition.patterns:
            yield constant(text(word), word)
    for number in _numbers(condition):
        if 0 < number < 1000:
            yield texts(cell.name, int(number))
            yield texts(cell.name, int(number), exactly=int(number))
    patterns = [re.compile(each, re.IGNORECASE) for each in condition.patterns]
    for code, make in _SHAPES:
        if all(regex.search(make(0)) for regex in patterns):
            yield sequence(code, make)
    for word in _WORDS:
        if all(regex.search(word) for regex in patterns):
            yield constant(text(word), word)


_BY_KIND: tuple[tuple[Any, Callable[[_Asked], Iterator[Value]]], ...] = (
    (types.Enum, _members),
    (types.Boolean, _both),
    (types.Integer, _whole),
    (types.Numeric, _fractional),
    (types.DateTime, _moments),
    (types.Date, _days),
    (types.ARRAY, _one_item),
    (types.String, _textual),
)


def others(type_: Any) -> Iterator[Value]:
    """Yield what else a column of this type may hold, where its class refuses the usual."""
    while isinstance(type_, types.TypeDecorator | DOMAIN):
        type_ = type_.data_type if isinstance(type_, DOMAIN) else type_.impl_instance
    if isinstance(type_, types.Enum):
        yield from (enum_value(type_, each) for _, each in enum_values(type_))
    elif isinstance(type_, types.String):
        room = type_.length or 1000
        yield from (sequence(*each) for each in _SHAPES if len(each[1](0)) + 4 <= room)
        yield from (constant(text(word), word) for word in _WORDS)
    elif isinstance(type_, types.Numeric | types.Integer):
        yield constant("0", 0)
        yield constant("100", 100)


_SHAPES: tuple[tuple[str, Callable[[int], str]], ...] = (
    ('f"name-{n}"', lambda n: f"name-{n}"),
    ('f"name_{n}"', lambda n: f"name_{n}"),
    ('f"name{n}"', lambda n: f"name{n}"),
    ('f"user-{n}@example.com"', lambda n: f"user-{n}@example.com"),
    ('f"https://example.com/{n}"', lambda n: f"https://example.com/{n}"),
    ('f"/{n}"', lambda n: f"/{n}"),
    ('f"{n}"', lambda n: f"{n}"),
    ('f"#{n:06x}"', lambda n: f"#{n:06x}"),
    ('f"{n:032x}"', lambda n: f"{n:032x}"),
    ('f"{n:040x}"', lambda n: f"{n:040x}"),
    ('f"{n:064x}"', lambda n: f"{n:064x}"),
    ('f"+1555{n:07}"', lambda n: f"+1555{n:07}"),
    ('f"1.0.{n}"', lambda n: f"1.0.{n}"),
    ('f"NAME_{n}"', lambda n: f"NAME_{n}"),
    ('f"NAME-{n}"', lambda n: f"NAME-{n}"),
)
"""Texts that the patterns of real CHECK constraints often ask for."""

_WORDS = (
    "a",
    "A",
    "aa",
    "AA",
    "aaa",
    "AAA",
    "en-US",
    "en_US",
    "USD",
    "00:00",
    "2026-01-01",
    "#aabbcc",
)
