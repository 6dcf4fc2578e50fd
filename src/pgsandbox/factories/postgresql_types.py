"""Values for the types that PostgreSQL and its extensions have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.dialects import postgresql as pg

from pgsandbox.factories.logic import PRESENT
from pgsandbox.factories.value import DECIMAL, DT, RANGE, Ask, Value, constant, sequence, text


def special(ask: Ask) -> Value | None:
    """Return a value for a type of PostgreSQL or of one of its extensions; None for others."""
    kind = str(getattr(ask.type_, "__visit_name__", ""))
    if isinstance(ask.type_, pg.BIT):
        return _bits(ask.type_, ask.is_unique)
    if kind.endswith("RANGE"):
        return _range(kind, ask.is_unique)
    if kind in _WRITTEN:
        return sequence(*_WRITTEN[kind])
    name = type(ask.type_).__name__
    plain = _PLAIN.get(kind) or _PLAIN.get(name.upper())
    if plain is not None:
        return replace(constant(*plain), is_mutable=plain[0] in {"{}", "[]"})
    return _of_an_extension(ask.type_, name)


def _of_an_extension(type_: Any, name: str) -> Value | None:
    if name.upper() in {"VECTOR", "HALFVEC"}:
        dim = getattr(type_, "dim", None) or 3
        return replace(constant(f"[0.0] * {dim}", [0.0] * dim), is_mutable=True)
    if name in {"Geometry", "Geography"}:
        srid = getattr(type_, "srid", -1)
        point = "POINT(0 0)" if srid in {-1, None} else f"SRID={srid};POINT(0 0)"
        is_point = getattr(type_, "geometry_type", None) in {"POINT", "GEOMETRY", None}
        return constant(text(point), point, note="" if is_point else "A shape of its type.")
    return None


def _bits(type_: Any, is_unique: bool) -> Value:
    length = type_.length or 1
    if is_unique:
        return sequence(f'f"{{n:0{length}b}}"', lambda n: f"{n:0{length}b}")
    return constant(text("0" * length), "0" * length)


def _range(kind: str, is_unique: bool) -> Value | None:
    if kind.endswith("MULTIRANGE"):
        single = _range(kind.removesuffix("MULTIRANGE") + "RANGE", is_unique)
        return single and replace(single, code=f"[{single.code}]", is_mutable=True)
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
        "Range(Decimal(1), Decimal(10))",
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
