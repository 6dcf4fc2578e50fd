"""Values for the types that every database has."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import types
from sqlalchemy.dialects import postgresql as pg

from pgsandbox.factories.imports import name_of
from pgsandbox.factories.value import DECIMAL, DT, UUID_, Ask, Value, constant, sequence, text


def _enum(ask: Ask) -> Value:
    members = list(enum_values(ask.type_))
    if not members:
        return constant("None", None, note="The enum has no values.")
    first = enum_value(ask.type_, members[0][1])
    if not ask.is_unique or len(members) == 1:
        return first
    codes = [enum_value(ask.type_, value) for _, value in members]
    source = name_of(ask.type_.enum_class) if ask.type_.enum_class else None
    listed = f"list({source.name})" if source else f"[{', '.join(c.code for c in codes)}]"
    if source is not None and [v for _, v in members] != list(ask.type_.enum_class):
        listed = f"[{', '.join(c.code for c in codes)}]"
    return sequence(
        f"{listed}[n % {len(members)}]",
        lambda n: members[n % len(members)][1],
        *first.imports,
    )


def enum_values(type_: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of an enum column, each as the server and as Python knows it."""
    if type_.enum_class is None:
        yield from ((each, each) for each in type_.enums)
        return
    members = type_.enum_class.__members__.values()
    yield from zip(type_.enums, members, strict=False)


def enum_value(type_: Any, value: Any) -> Value:
    """Return the value that an enum column takes for *value*, one of its own."""
    if type_.enum_class is None:
        return constant(text(str(value)), value)
    return enum_member(value)


def enum_member(member: enum.Enum) -> Value:
    """Return *member* of its enum, as code."""
    source = name_of(type(member))
    if source is None:
        return constant("None", None, note="The enum's class can't be imported.")
    is_plain = member.name.isidentifier() and not member.name.startswith("__")
    access = f".{member.name}" if is_plain else f"[{text(member.name)}]"
    return constant(f"{source.name}{access}", member, source)


def _boolean(ask: Ask) -> Value:
    if ask.is_unique:
        return sequence("bool(n % 2)", lambda n: bool(n % 2))
    return constant("False", False)


_DAY = dt.date(2026, 1, 1)


def _date(ask: Ask) -> Value:
    if ask.is_unique:
        code = "dt.date(2026, 1, 1) + dt.timedelta(days=n)"
        return sequence(code, lambda n: _DAY + dt.timedelta(days=n), DT)
    return constant("dt.date(2026, 1, 1)", _DAY, DT)


def moment(*, is_aware: bool, is_unique: bool = False, days: int = 0) -> Value:
    """Return a moment, *days* after the one that factories give by default."""
    zone = ", tzinfo=dt.UTC" if is_aware else ""
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC if is_aware else None)
    at += dt.timedelta(days=days)
    code = f"dt.datetime({at.year}, {at.month}, {at.day}{zone})"
    if is_unique:
        counted = f"{code} + dt.timedelta(minutes=n)"
        return sequence(counted, lambda n: at + dt.timedelta(minutes=n), DT)
    return constant(code, at, DT)


def _datetime(ask: Ask) -> Value:
    return moment(is_aware=bool(ask.type_.timezone), is_unique=ask.is_unique)


def _time(ask: Ask) -> Value:
    aware = bool(ask.type_.timezone)
    zone = ", tzinfo=dt.UTC" if aware else ""
    tz = dt.UTC if aware else None
    if ask.is_unique:
        return sequence(
            f"dt.time(n // 60 % 24, n % 60{zone})",
            lambda n: dt.time(n // 60 % 24, n % 60, tzinfo=tz),
            DT,
        )
    return constant(f"dt.time(9{zone})", dt.time(9, tzinfo=tz), DT)


def _interval(ask: Ask) -> Value:
    if ask.is_unique:
        return sequence("dt.timedelta(minutes=n)", lambda n: dt.timedelta(minutes=n), DT)
    return constant("dt.timedelta(hours=1)", dt.timedelta(hours=1), DT)


def uuids(ask: Ask) -> Value:
    """Return UUIDs that count, or their texts where the type takes these."""
    if not getattr(ask.type_, "as_uuid", True):  # a type of texts
        return sequence("str(UUID(int=n + 1))", lambda n: str(UUID(int=n + 1)), UUID_)
    return sequence("UUID(int=n + 1)", lambda n: UUID(int=n + 1), UUID_)


def _integer(ask: Ask) -> Value:
    return numbers_from(1) if ask.is_unique else constant("1", 1)


def numbers_from(start: int) -> Value:
    """Return whole numbers that count from *start*."""
    code = f"n + {start}" if start > 0 else f"n - {-start}" if start < 0 else "n"
    return sequence(code, lambda n: n + start)


def _numeric(ask: Ask) -> Value:
    # A column of numeric(p, p) holds fractions only.
    is_fraction = ask.type_.precision is not None and ask.type_.precision == ask.type_.scale
    if not ask.type_.asdecimal:
        value = 0.5 if is_fraction else 1.0
        return (
            sequence("float(n + 1)", lambda n: float(n + 1))
            if ask.is_unique
            else constant(str(value), value)
        )
    if is_fraction:
        digits = ask.type_.scale
        if ask.is_unique:
            code = f"Decimal(n).scaleb(-{digits})"
            return sequence(code, lambda n: Decimal(n).scaleb(-digits), DECIMAL)
        return constant('Decimal("0.5")', Decimal("0.5"), DECIMAL)
    if ask.is_unique:
        return sequence("Decimal(n + 1)", lambda n: Decimal(n + 1), DECIMAL)
    return constant("Decimal(1)", Decimal(1), DECIMAL)


def _float(ask: Ask) -> Value:
    if getattr(ask.type_, "asdecimal", False):
        return constant("Decimal(1)", Decimal(1), DECIMAL)
    if ask.is_unique:
        return sequence("float(n + 1)", lambda n: float(n + 1))
    return constant("1.0", 1.0)


def _bytes(ask: Ask) -> Value:
    if ask.is_unique:
        length = ask.type_.length
        if length is not None and length < 20:
            return sequence(
                f'n.to_bytes({length}, "big")', lambda n: int.to_bytes(n, length, "big")
            )
        return sequence(f'f"{ask.name}-{{n}}".encode()', lambda n: f"{ask.name}-{n}".encode())
    return constant('b"\\x00"', b"\x00")


def _json(ask: Ask) -> Value:
    if ask.is_unique:
        return sequence('{"n": n}', lambda n: {"n": n})
    return replace(constant("{}", {}), is_mutable=True)


def texts(name: str, length: int | None, *, exactly: int | None = None) -> Value:
    """Return texts that count, of at most *length* characters, or of exactly so many."""
    if exactly is not None:
        return sequence(f'f"{{n:0{exactly}}}"', lambda n: f"{n:0{exactly}}")
    for before, after in _written_as(name):
        if length is None or length >= len(before) + len(after) + 6:
            code = text(before + "\0" + after).replace("\\u0000", "{n}").replace("\\x00", "{n}")
            return sequence(f"f{code}", _between(before, after))
    return sequence("str(n)", str)


def _between(before: str, after: str) -> Callable[[int], str]:
    return lambda n: f"{before}{n}{after}"


def _written_as(name: str) -> Iterator[tuple[str, str]]:
    """Yield what may stand before and after the number, the most telling first."""
    words = name.strip("_").lower()
    if "email" in words and "_id" not in words and not words.startswith(("is_", "has_")):
        yield "user-", "@example.com"
    if words in {"url", "uri", "link", "website", "homepage"} or words.endswith(("_url", "_uri")):
        yield "https://example.com/", ""
    plain = words.replace("_", "-")
    yield f"{plain}-", ""
    yield f"{plain[:1]}-", ""
    yield "", ""


def _string(ask: Ask) -> Value:
    length = ask.type_.length
    if isinstance(ask.type_, types.CHAR) and length is not None:
        # The server fills it up with blanks, and gives these back.
        return texts(ask.name, length, exactly=length)
    return texts(ask.name, length)


COMMON: tuple[tuple[Any, Callable[[Ask], Value]], ...] = (
    (types.Enum, _enum),
    (types.Boolean, _boolean),
    (types.Interval, _interval),
    (pg.INTERVAL, _interval),
    (types.DateTime, _datetime),
    (types.Date, _date),
    (types.Time, _time),
    (types.Uuid, uuids),
    (types.JSON, _json),
    (types._Binary, _bytes),
    (types.Float, _float),
    (types.Numeric, _numeric),
    (types.Integer, _integer),
    (types.String, _string),
)


"""The types, the narrower first, each with what makes a value for it."""
