"""CHECK constraints, as far as they are simple."""

import pytest

from pgsandbox.factories.conditions import parse
from pgsandbox.factories.logic import PRESENT, UNDECIDED, Undecided


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("price > 0", {"price": 1}, True),
        ("price > 0", {"price": 0}, False),
        ("price > 0", {"price": None}, None),
        ("price >= -1", {"price": -2}, False),
        ("price BETWEEN 1 AND 5", {"price": 6}, False),
        ("price NOT BETWEEN 1 AND 5", {"price": 6}, True),
        ("state IN ('a', 'b')", {"state": "b"}, True),
        ("state NOT IN ('a', 'b')", {"state": "b"}, False),
        ("(state)::text = ANY ((ARRAY['a'::character varying])::text[])", {"state": "a"}, True),
        ("length(code) = 3", {"code": "abcd"}, False),
        ("char_length(btrim(code)) > 0", {"code": "  "}, False),
        ("code ~ '^[A-Z]+$'", {"code": "ab"}, False),
        ("code ~* '^[A-Z]+$'", {"code": "ab"}, True),
        ("code !~ '^[A-Z]+$'", {"code": "ab"}, True),
        ("code LIKE 'a_%'", {"code": "ab"}, True),
        ("code ILIKE 'A%'", {"code": "ba"}, False),
        ("a IS NULL OR b > 2", {"a": 1, "b": 3}, True),
        ("(a IS NULL) <> (b IS NULL)", {"a": None, "b": PRESENT}, True),
        ("num_nonnulls(a, b) = 1", {"a": PRESENT, "b": PRESENT}, False),
        ("NOT (a AND b)", {"a": True, "b": False}, True),
        ("a IS NOT TRUE", {"a": None}, True),
        ("a IS DISTINCT FROM b", {"a": 1, "b": None}, True),
        ('"Total" - discount >= 0', {"Total": 3, "discount": 4}, False),
        ("CAST(price AS numeric(10, 2)) <= 1.5", {"price": 2}, False),
        ("jsonb_typeof(details) = 'object'", {"details": []}, False),
        ("cardinality(tags) > 0", {"tags": []}, False),
        ("orders.price > 0", {"price": 1}, True),
    ],
)
def test_what_is_understood(text, row, expected):
    """As PostgreSQL decides it, NULL included."""
    assert parse(text).evaluate(row) is expected


@pytest.mark.parametrize(
    "text",
    [
        "md5(code) = 'a'",
        "created_at > now()",
        "CASE WHEN a THEN b ELSE c END",
        "price > (SELECT 1)",
        "price > 0 AND",
        "price @> 3",
    ],
)
def test_what_is_not_understood_is_undecided(text):
    """It is never taken for kept or broken."""
    assert isinstance(parse(text).evaluate({"price": 1, "code": "x", "created_at": 1}), Undecided)


def test_one_side_may_decide():
    """What is undecided matters only where the rest leaves it open."""
    condition = parse("price > 0 OR md5(code) = 'a'")

    assert condition.evaluate({"price": 1, "code": "x"}) is True
    assert condition.evaluate({"price": 0, "code": "x"}) is UNDECIDED
