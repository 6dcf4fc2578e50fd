"""A sensible value for a column, as the code that stands for it in a factory."""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy
from sqlalchemy import Column, types
from sqlalchemy.dialects import postgresql as pg

from pgsandbox.factories.conditions import PRESENT, Undecided
from pgsandbox.factories.imports import Import, name_of

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


def value_of(column: Column[Any], name: str, *, is_unique: bool) -> Value:
    """Return a value for *column*, which the attribute *name* holds.

    With *is_unique* no two objects share it, as far as its type has values enough.
    """
    return _of_type(column.type, name, is_unique=is_unique)


def _of_type(type_: types.TypeEngine[Any], name: str, *, is_unique: bool) -> Value:
    if isinstance(type_, types.TypeDecorator):
        return _decorated(type_, name, is_unique=is_unique)
    if isinstance(type_, pg.DOMAIN):
        return _of_type(type_.data_type, name, is_unique=is_unique)
    found = _special(type_, name, is_unique) or _common(type_, name, is_unique)
    if found is None:
        return constant("None", None, note=f"No value is known for the type {_named(type_)}.")
    return found


def _named(type_: types.TypeEngine[Any]) -> str:
    return type(type_).__name__


# -- common types ---------------------------------------------------------------------------------


def _common(type_: types.TypeEngine[Any], name: str, is_unique: bool) -> Value | None:
    for kinds, make in _COMMON:
        if isinstance(type_, kinds):
            return make(type_, name, is_unique)
    return None


def _enum(type_: Any, name: str, is_unique: bool) -> Value:
    members = list(enum_values(type_))
    if not members:
        return constant("None", None, note="The enum has no values.")
    first = enum_value(type_, members[0][1])
    if not is_unique or len(members) == 1:
        return first
    codes = [enum_value(type_, value) for _, value in members]
    source = name_of(type_.enum_class) if type_.enum_class else None
    listed = f"list({source.name})" if source else f"[{', '.join(c.code for c in codes)}]"
    if source is not None and [v for _, v in members] != list(type_.enum_class):
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


def _boolean(type_: Any, name: str, is_unique: bool) -> Value:
    if is_unique:
        return sequence("bool(n % 2)", lambda n: bool(n % 2))
    return constant("False", False)


_DAY = dt.date(2026, 1, 1)


def _date(type_: Any, name: str, is_unique: bool) -> Value:
    if is_unique:
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


def _datetime(type_: Any, name: str, is_unique: bool) -> Value:
    return moment(is_aware=bool(type_.timezone), is_unique=is_unique)


def _time(type_: Any, name: str, is_unique: bool) -> Value:
    aware = bool(type_.timezone)
    zone = ", tzinfo=dt.UTC" if aware else ""
    tz = dt.UTC if aware else None
    if is_unique:
        return sequence(
            f"dt.time(n // 60 % 24, n % 60{zone})",
            lambda n: dt.time(n // 60 % 24, n % 60, tzinfo=tz),
            DT,
        )
    return constant(f"dt.time(9{zone})", dt.time(9, tzinfo=tz), DT)


def _interval(type_: Any, name: str, is_unique: bool) -> Value:
    if is_unique:
        return sequence("dt.timedelta(minutes=n)", lambda n: dt.timedelta(minutes=n), DT)
    return constant("dt.timedelta(hours=1)", dt.timedelta(hours=1), DT)


def _uuid(type_: Any, name: str, is_unique: bool) -> Value:
    if not getattr(type_, "as_uuid", True):
        return sequence("str(UUID(int=n + 1))", lambda n: str(UUID(int=n + 1)), UUID_)
    return sequence("UUID(int=n + 1)", lambda n: UUID(int=n + 1), UUID_)


def _integer(type_: Any, name: str, is_unique: bool) -> Value:
    return numbers_from(1) if is_unique else constant("1", 1)


def numbers_from(start: int) -> Value:
    """Return whole numbers that count from *start*."""
    code = f"n + {start}" if start > 0 else f"n - {-start}" if start < 0 else "n"
    return sequence(code, lambda n: n + start)


def _numeric(type_: Any, name: str, is_unique: bool) -> Value:
    # A column of numeric(p, p) holds fractions only.
    is_fraction = type_.precision is not None and type_.precision == type_.scale
    if not type_.asdecimal:
        value = 0.5 if is_fraction else 1.0
        return (
            sequence("float(n + 1)", lambda n: float(n + 1))
            if is_unique
            else constant(str(value), value)
        )
    if is_fraction:
        digits = type_.scale
        if is_unique:
            code = f"Decimal(n).scaleb(-{digits})"
            return sequence(code, lambda n: Decimal(n).scaleb(-digits), DECIMAL)
        return constant('Decimal("0.5")', Decimal("0.5"), DECIMAL)
    if is_unique:
        return sequence("Decimal(n + 1)", lambda n: Decimal(n + 1), DECIMAL)
    return constant('Decimal("1")', Decimal(1), DECIMAL)


def _float(type_: Any, name: str, is_unique: bool) -> Value:
    if getattr(type_, "asdecimal", False):
        return constant('Decimal("1")', Decimal(1), DECIMAL)
    if is_unique:
        return sequence("float(n + 1)", lambda n: float(n + 1))
    return constant("1.0", 1.0)


def _bytes(type_: Any, name: str, is_unique: bool) -> Value:
    if is_unique:
        length = type_.length
        if length is not None and length < 20:
            return sequence(f'n.to_bytes({length}, "big")', lambda n: n.to_bytes(length, "big"))
        return sequence(f'f"{name}-{{n}}".encode()', lambda n: f"{name}-{n}".encode())
    return constant('b"\\x00"', b"\x00")


def _json(type_: Any, name: str, is_unique: bool) -> Value:
    if is_unique:
        return sequence('{"n": n}', lambda n: {"n": n})
    return replace(constant("{}", {}), is_mutable=True)


def _array(type_: Any, name: str, is_unique: bool) -> Value:
    item = _of_type(type_.item_type, name, is_unique=is_unique)
    if is_unique and item.is_sequence:
        return sequence(f"[{item.code}]", lambda n: [item.make(n)], *item.imports)
    return replace(constant("[]", []), is_mutable=True)


def texts(name: str, length: int | None, *, exactly: int | None = None) -> Value:
    """Return texts that count, of at most *length* characters, or of exactly so many."""
    if exactly is not None:
        return sequence(f'f"{{n:0{exactly}}}"', lambda n: f"{n:0{exactly}}")
    for before, after in _written_as(name):
        if length is None or length >= len(before) + len(after) + 6:
            code = text(before + "\0" + after).replace("\\u0000", "{n}").replace("\\x00", "{n}")
            return sequence(f"f{code}", lambda n, b=before, a=after: f"{b}{n}{a}")
    return sequence("str(n)", str)


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


def _string(type_: Any, name: str, is_unique: bool) -> Value:
    length = type_.length
    if isinstance(type_, types.CHAR) and length is not None:
        # The server fills it up with blanks, and gives these back.
        return texts(name, length, exactly=length)
    return texts(name, length)


_COMMON: tuple[tuple[Any, Callable[[Any, str, bool], Value]], ...] = (
    (types.Enum, _enum),
    (types.Boolean, _boolean),
    (types.Interval, _interval),
    (pg.INTERVAL, _interval),
    (types.DateTime, _datetime),
    (types.Date, _date),
    (types.Time, _time),
    (types.Uuid, _uuid),
    (types.JSON, _json),
    (types.ARRAY, _array),
    (types._Binary, _bytes),
    (types.Float, _float),
    (types.Numeric, _numeric),
    (types.Integer, _integer),
    (types.String, _string),
)


# -- PostgreSQL's own -----------------------------------------------------------------------------


def _special(type_: types.TypeEngine[Any], name: str, is_unique: bool) -> Value | None:
    kind = str(getattr(type_, "__visit_name__", ""))
    if isinstance(type_, pg.BIT):
        return _bits(type_, is_unique)
    if kind.endswith("MULTIRANGE"):
        single = _range(kind.removesuffix("MULTIRANGE") + "RANGE", is_unique)
        if single is None:
            return None
        listed = f"[{single.code}]"
        return replace(single, code=listed, make=lambda n: [single.make(n)])
    if kind.endswith("RANGE"):
        return _range(kind, is_unique)
    code, make = _WRITTEN.get(kind, (None, None))
    if code is not None and make is not None:
        return sequence(code, make)
    plain = _PLAIN.get(kind) or _PLAIN.get(_named(type_).upper())
    if plain is not None:
        return replace(constant(*plain), is_mutable=plain[0] in {"{}", "[]"})
    if _named(type_).upper() in {"VECTOR", "HALFVEC"}:
        dim = getattr(type_, "dim", None) or 3
        return replace(constant(f"[0.0] * {dim}", [0.0] * dim), is_mutable=True)
    if _named(type_) in {"Geometry", "Geography"}:
        srid = getattr(type_, "srid", -1)
        point = "POINT(0 0)" if srid in {-1, None} else f"SRID={srid};POINT(0 0)"
        kinds = {"POINT", "GEOMETRY", None}
        note = "" if getattr(type_, "geometry_type", None) in kinds else "A shape of its type."
        return constant(text(point), point, note=note)
    return None


def _bits(type_: Any, is_unique: bool) -> Value:
    length = type_.length or 1
    if is_unique:
        return sequence(f'f"{{n:0{length}b}}"', lambda n: f"{n:0{length}b}")
    return constant(text("0" * length), "0" * length)


def _range(kind: str, is_unique: bool) -> Value | None:
    found = _RANGES.get(kind)
    if found is None:
        return None
    one, many, *imports = found
    if is_unique:
        return sequence(many, lambda _: PRESENT, RANGE, *imports)
    return constant(one, PRESENT, RANGE, *imports)


def _days(form: str) -> tuple[str, str]:
    first, second = (form.format(day) for day in (1, 2))
    later = "dt.timedelta(days=n)"
    return f"Range({first}, {second})", f"Range({first} + {later}, {second} + {later})"


_WHOLE = ("Range(1, 10)", "Range(10 * n, 10 * n + 5)")

_RANGES: dict[str, tuple[Any, ...]] = {
    "INT4RANGE": _WHOLE,
    "INT8RANGE": _WHOLE,
    "NUMRANGE": (
        'Range(Decimal("1"), Decimal("10"))',
        "Range(Decimal(10 * n), Decimal(10 * n + 5))",
        DECIMAL,
    ),
    "DATERANGE": (*_days("dt.date(2026, 1, {})"), DT),
    "TSRANGE": (*_days("dt.datetime(2026, 1, {})"), DT),
    "TSTZRANGE": (*_days("dt.datetime(2026, 1, {}, tzinfo=dt.UTC)"), DT),
}

_WRITTEN: dict[str, tuple[str, Callable[[int], Any]]] = {
    "INET": (
        'f"10.0.{n // 256 % 256}.{n % 256}"',
        lambda n: f"10.0.{n // 256 % 256}.{n % 256}",
    ),
    "CIDR": (
        'f"10.{n // 256 % 256}.{n % 256}.0/24"',
        lambda n: f"10.{n // 256 % 256}.{n % 256}.0/24",
    ),
    "MACADDR": (
        'f"00:00:5e:00:{n // 256 % 256:02x}:{n % 256:02x}"',
        lambda n: f"00:00:5e:00:{n // 256 % 256:02x}:{n % 256:02x}",
    ),
    "MACADDR8": (
        'f"00:00:5e:00:53:00:{n // 256 % 256:02x}:{n % 256:02x}"',
        lambda n: f"00:00:5e:00:53:00:{n // 256 % 256:02x}:{n % 256:02x}",
    ),
    "CITEXT": ('f"text-{n}"', lambda n: f"text-{n}"),
    "MONEY": ("str(n + 1)", lambda n: str(n + 1)),
    "OID": ("n + 1", lambda n: n + 1),
}

_PLAIN: dict[str, tuple[str, Any]] = {
    "HSTORE": ("{}", {}),
    "TSVECTOR": ('"text"', "text"),
    "TSQUERY": ('"text"', "text"),
    "REGCLASS": ('"pg_class"', "pg_class"),
    "REGCONFIG": ('"english"', "english"),
    "JSONPATH": ('"$"', "$"),
    "LTREE": ('"top"', "top"),
    "LQUERY": ('"top"', "top"),
}


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
    if isinstance(type_, types.Enum) and not isinstance(type_, types.TypeDecorator):
        by_member = {id(member): label for label, member in enum_values(type_)}
        return by_member.get(id(value), value)
    if not isinstance(type_, types.TypeDecorator):
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
    if isinstance(impl, types.DateTime):
        yield moment(is_aware=True, is_unique=is_unique)
        yield moment(is_aware=False, is_unique=is_unique)
    yield from _by_python_type(type_, impl, name, is_unique)
    yield _of_type(impl, name, is_unique=is_unique)
    for code, value in (("{}", {}), ("[]", [])):
        yield replace(constant(code, value), is_mutable=True)
    yield _uuid(None, name, is_unique=is_unique)
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
    held = [*vars(type_).values(), *vars(type(type_)).values()]
    for value in held:
        if isinstance(value, type) and issubclass(value, enum.Enum):
            return value
    return None
