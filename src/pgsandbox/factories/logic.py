"""PostgreSQL's logic of three values, and a fourth: what can't be decided here."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any


class Undecided:
    """What a condition gives that can't be decided here."""

    def __repr__(self) -> str:
        return "UNDECIDED"


UNDECIDED = Undecided()
PRESENT = Undecided()
"""A value of which only this is known: it is not NULL."""

Evaluate = Callable[[Mapping[str, Any]], Any]


def all_of(values: list[Any]) -> Any:
    """Return AND of *values*."""
    if any(each is False for each in values):
        return False
    if any(isinstance(each, Undecided) for each in values):
        return UNDECIDED
    return None if None in values else True


def any_of(values: list[Any]) -> Any:
    """Return OR of *values*."""
    if any(each is True for each in values):
        return True
    if any(isinstance(each, Undecided) for each in values):
        return UNDECIDED
    return None if None in values else False


def not_(value: Any) -> Any:
    """Return NOT of *value*, which stays what it is where it is NULL or undecided."""
    return (not value) if isinstance(value, bool) else value


def same(left: Any, right: Any) -> Any:
    """Return IS NOT DISTINCT FROM."""
    if left is None or right is None:
        return left is right
    if isinstance(left, Undecided) or isinstance(right, Undecided):
        return UNDECIDED
    return compare("=", left, right)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
    "||": operator.add,
}


def compare(word: str, left: Any, right: Any) -> Any:
    """Return what an operator of comparison gives."""
    if left is None or right is None:
        return None
    if isinstance(left, Undecided) or isinstance(right, Undecided):
        return UNDECIDED
    if isinstance(left, float | Decimal) and isinstance(right, float | Decimal):
        left, right = float(left), float(right)
    if isinstance(left, str) != isinstance(right, str) and word in {"=", "<>", "!="}:
        return UNDECIDED  # PostgreSQL casts one of them
    try:
        return bool(_OPERATORS[word](left, right))
    except TypeError:
        return UNDECIDED


def one_of(left: Evaluate, items: list[Evaluate]) -> Evaluate:
    """Return IN, which is = for one of *items*."""
    return lambda env: any_of([compare("=", left(env), each(env)) for each in items])


def calculated(word: str, left: Evaluate, right: Evaluate) -> Evaluate:
    """Return what an operator of arithmetic gives."""

    def found(env: Mapping[str, Any]) -> Any:
        first, second = left(env), right(env)
        if first is None or second is None:
            return None
        if isinstance(first, Undecided) or isinstance(second, Undecided):
            return UNDECIDED
        try:
            return _OPERATORS[word](first, second)
        except (TypeError, ArithmeticError):
            return UNDECIDED

    return found


def negative(value: Any) -> Any:
    """Return minus *value*."""
    return -value if isinstance(value, int | float | Decimal) else value


def from_like(pattern: str) -> str:
    """Return the regular expression for a pattern of LIKE."""
    return "^" + re.escape(pattern).replace("%", "(?s:.*)").replace("_", "(?s:.)") + "$"


def _nullable(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        if any(isinstance(each, Undecided) for each in values):
            return UNDECIDED
        return None if None in values else function(*values)

    return call


def _coalesce(*values: Any) -> Any:
    return next((each for each in values if each is not None), None)


def _json_type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean"}
    return names.get(type(value), "number")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "length": _nullable(len),
    "char_length": _nullable(len),
    "character_length": _nullable(len),
    "octet_length": _nullable(lambda text: len(text.encode() if isinstance(text, str) else text)),
    "lower": _nullable(str.lower),
    "upper": _nullable(str.upper),
    "trim": _nullable(str.strip),
    "btrim": _nullable(str.strip),
    "abs": _nullable(abs),
    "mod": _nullable(operator.mod),
    "greatest": _nullable(max),
    "least": _nullable(min),
    "coalesce": _coalesce,
    "num_nonnulls": lambda *values: sum(each is not None for each in values),
    "num_nulls": lambda *values: sum(each is None for each in values),
    "cardinality": _nullable(len),
    "array_length": _nullable(lambda array, _: len(array) or None),
    "json_typeof": _nullable(_json_type),
    "jsonb_typeof": _nullable(_json_type),
}
