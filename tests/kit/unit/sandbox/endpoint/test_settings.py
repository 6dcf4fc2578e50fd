"""The options of a connection, and literals."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.settings import parse_options, quoted


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ("", {}),
        ("-c a=b", {"a": "b"}),
        ("-ca=b -c c=d", {"a": "b", "c": "d"}),
        ("--statement-timeout=5s", {"statement_timeout": "5s"}),
        (r"-c search_path=a,\ b\\c", {"search_path": r"a, b\c"}),
        ("-c a=b=c", {"a": "b=c"}),
        ("-c a= ", {"a": ""}),
        ("-d 5 -c a=b", {"a": "b"}),
        ("-c", {}),
    ],
)
def test_options(options: str, values: dict[str, str]) -> None:
    """As libpq passes them: by words, with backslashes before spaces and backslashes."""
    assert parse_options(options) == values


@pytest.mark.parametrize(
    ("value", "literal"), [("a", "'a'"), ("it's", "'it''s'"), ("a\\'b", "E'a\\\\\\'b'")]
)
def test_literals(value: str, literal: str) -> None:
    """Whatever standard_conforming_strings says."""
    assert quoted(value) == literal
