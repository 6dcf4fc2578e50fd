"""What NOTIFY and pg_notify carry, as far as their text shows it."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.notifications import notify_call, payload_of
from pgsandbox.sandbox.endpoint.statements import classify


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ("NOTIFY a", ""),
        ("notify a, ''", ""),
        ("notify a, 'b'", "b"),
        ("notify a, 'it''s'", "it's"),
        ("notify a, 'a\\b'", "a\\b"),
        ("notify a, E'it\\'s \\\\'", "it's \\"),
        ("notify a, $$it's$$", "it's"),
        ("notify a, $x$a $$ b$x$", "a $$ b"),
        ("notify /* 'b' */ a -- 'c'\n, 'd'", "d"),
        ("notify \"a'b\", 'c'", "c"),
    ],
)
def test_payloads(text: str, payload: str) -> None:
    """A literal, however it is written."""
    assert payload_of(text) == payload


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("select pg_notify('a', 'b')", "('a')::text, ( 'b')::text"),
        ("SELECT pg_catalog.pg_notify ($1, $2)", "($1)::text, ( $2)::text"),
        ("select pg_notify('a,b', f(1, 2) || 'c')", "('a,b')::text, ( f(1, 2) || 'c')::text"),
        (
            "select pg_notify('a', (array['b', 'c'])[1])",
            "('a')::text, ( (array['b', 'c'])[1])::text",
        ),
        ("select pg_notify('a')", None),
        ("select pg_notify('a', 'b', 'c')", None),
        ("select 1, pg_notify('a', 'b')", None),
        ("select 'pg_notify'", None),
        ("select 1", None),
    ],
)
def test_calls(text: str, arguments: str | None) -> None:
    """The server is asked for their arguments, as texts."""
    assert notify_call(classify(text)) == arguments
