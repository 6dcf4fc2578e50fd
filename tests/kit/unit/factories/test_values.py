"""Values by type: the code that stands in a factory, and the value that it stands for."""

import datetime as dt
import enum
from decimal import Decimal
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import Range

from pgsandbox.factories.values import value_of


class Colour(enum.Enum):
    """An enum of one member, which can't count."""

    RED = 1


class Lower(sa.types.TypeDecorator):
    """A type that takes texts in small letters only."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value, dialect):
        """Return bytes."""
        if not isinstance(value, str) or value != value.lower():
            raise ValueError(value)
        return value.encode()


NAMES = {"dt": dt, "Decimal": Decimal, "UUID": UUID, "Range": Range, "Colour": Colour}


@pytest.mark.parametrize(
    ("type_", "code", "unique"),
    [
        (sa.Integer(), "1", "n + 1"),
        (sa.Boolean(), "False", "bool(n % 2)"),
        (sa.Float(), "1.0", "float(n + 1)"),
        (sa.Numeric(8, 2), "Decimal(1)", "Decimal(n + 1)"),
        (sa.Numeric(2, 2), 'Decimal("0.5")', "Decimal(n).scaleb(-2)"),
        (sa.Date(), "dt.date(2026, 1, 1)", "dt.date(2026, 1, 1) + dt.timedelta(days=n)"),
        (
            sa.DateTime(),
            "dt.datetime(2026, 1, 1)",
            "dt.datetime(2026, 1, 1) + dt.timedelta(minutes=n)",
        ),
        (
            sa.DateTime(timezone=True),
            "dt.datetime(2026, 1, 1, tzinfo=dt.UTC)",
            "dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=n)",
        ),
        (sa.Interval(), "dt.timedelta(hours=1)", "dt.timedelta(minutes=n)"),
        (sa.Uuid(), "UUID(int=n + 1)", "UUID(int=n + 1)"),
        (sa.Uuid(as_uuid=False), "str(UUID(int=n + 1))", "str(UUID(int=n + 1))"),
        (sa.Text(), 'f"field-{n}"', 'f"field-{n}"'),
        (sa.String(8), 'f"f-{n}"', 'f"f-{n}"'),
        (sa.String(3), "str(n)", "str(n)"),
        (sa.CHAR(3), 'f"{n:03}"', 'f"{n:03}"'),
        (sa.LargeBinary(4), 'b"\\x00"', 'n.to_bytes(4, "big")'),
        (sa.JSON(), "{}", '{"n": n}'),
        (sa.ARRAY(sa.Integer), "[]", "[n + 1]"),
        (sa.Enum("a", "b", name="ab"), '"a"', '["a", "b"][n % 2]'),
        (sa.Enum(Colour), "Colour.RED", "Colour.RED"),
        (pg.INET(), 'f"10.0.{n // 256 % 256}.{n % 256}"', 'f"10.0.{n // 256 % 256}.{n % 256}"'),
        (pg.BIT(3), '"000"', 'f"{n:03b}"'),
        (pg.HSTORE(), "{}", "{}"),
        (pg.INT8RANGE(), "Range(1, 10)", "Range(10 * n, 10 * n + 5)"),
        (pg.INT4MULTIRANGE(), "[Range(1, 10)]", "[Range(10 * n, 10 * n + 5)]"),
        (pg.NUMRANGE(), "Range(Decimal(1), Decimal(10))", None),
        (pg.TSVECTOR(), '"text"', '"text"'),
        (pg.DOMAIN("d", sa.Integer()), "1", "n + 1"),
        (Lower(), 'f"field-{n}"', 'f"field-{n}"'),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, sa.types.TypeEngine) else "",
)
def test_the_code_of_each_type(type_, code, unique):
    """Plain, and where no two objects may share it."""
    column = sa.Column("field", type_)
    plain = value_of(column, "field", is_unique=False)
    counting = value_of(column, "field", is_unique=True)

    assert (plain.note, plain.code) == ("", code)
    assert unique in {None, counting.code}


@pytest.mark.parametrize(
    "type_",
    [sa.Integer(), sa.Numeric(8, 2), sa.Date(), sa.Uuid(), sa.Text(), sa.CHAR(3), pg.INET()],
    ids=str,
)
@pytest.mark.parametrize("number", [0, 7])
def test_the_code_gives_the_value_that_checks_are_tried_with(type_, number):
    """Otherwise a CHECK would be satisfied on paper only."""
    value = value_of(sa.Column("field", type_), "field", is_unique=True)

    assert eval(value.code, NAMES, {"n": number}) == value.make(number)  # noqa: S307 - our own code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("email", 'f"user-{n}@example.com"'),
        ("billing_email", 'f"user-{n}@example.com"'),
        ("is_email_confirmed", 'f"is-email-confirmed-{n}"'),
        ("avatar_url", 'f"https://example.com/{n}"'),
    ],
)
def test_a_name_may_tell(name, code):
    """A test reads better with values of the kind that its application has."""
    assert value_of(sa.Column(name, sa.Text()), name, is_unique=False).code == code


def test_what_is_not_known_is_for_the_reader():
    """A type of somebody's own, which nothing is known of."""

    class Own(sa.types.UserDefinedType):
        """Something else."""

    value = value_of(sa.Column("field", Own()), "field", is_unique=False)

    assert (value.code, value.note) == ("None", "No value is known for the type Own.")
