"""A default that reads the clock by a keyword says the same by ``now()``."""

from __future__ import annotations

import pytest

from pgsandbox.schema.movable_clock import by_now


@pytest.mark.parametrize(
    ("default", "by_function"),
    [
        ("CURRENT_TIMESTAMP", "now()"),
        ("CURRENT_TIMESTAMP(3)", "(now()::timestamptz(3))"),
        ("(CURRENT_TIMESTAMP + '01:00:00'::interval)", "(now() + '01:00:00'::interval)"),
        ("(CURRENT_DATE - 1)", "((now()::date) - 1)"),
        ("LOCALTIMESTAMP", "(now()::timestamp)"),
        ("timezone('utc'::text, CURRENT_TIMESTAMP)", "timezone('utc'::text, now())"),
        ("'CURRENT_DATE it''s'::text", "'CURRENT_DATE it''s'::text"),
        ("now()", "now()"),
    ],
)
def test_a_keyword_becomes_a_call(default: str, by_function: str) -> None:
    """And nothing in a string does."""
    assert by_now(default) == by_function
