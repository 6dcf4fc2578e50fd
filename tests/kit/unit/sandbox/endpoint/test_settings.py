"""What a text sets, the options of a connection, and literals."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.settings import (
    KEPT_AWAY,
    Setting,
    clocks_of,
    parse_options,
    quoted,
    settings_of,
)


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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("set work_mem = '5MB'", [("work_mem", False, False)]),
        ("SET SESSION Work_Mem TO 5", [("work_mem", False, False)]),
        ("set local search_path to a, b", [("search_path", True, False)]),
        ("set my.var = 'x'", [("my.var", False, False)]),
        ("set time zone 'UTC'", [("timezone", False, False)]),
        ("SET LOCAL TIME ZONE LOCAL", [("timezone", True, False)]),
        ("set role a", [("role", False, False)]),
        ("set local role none", [("role", True, False)]),
        (
            "set session authorization a",
            [("session_authorization", False, False), ("role", False, False)],
        ),
        ("set names 'latin1'", [("client_encoding", False, False)]),
        ("set schema 'a'", [("search_path", False, False)]),
        ("reset work_mem", [("work_mem", False, True)]),
        ("reset role", [("role", False, True)]),
        (
            "set a.b = 1; select 1; set local c.d = 2",
            [("a.b", False, False), ("c.d", True, False)],
        ),
        ("select set_config('a.b', 'c', false)", [("a.b", False, False)]),
        ("select set_config('A.b'::text, $1, true)", [("a.b", True, False)]),
        ("select pg_catalog.set_config('a.b', E'c', 't')", [("a.b", True, False)]),
        ("update a set b = 1", []),
        ("select 1", []),
        ("set constraints all deferred", []),
        ("set transaction read only", []),
    ],
)
def test_what_a_text_sets(text: str, found: list[tuple[str, bool, bool]]) -> None:
    """Each parameter by its own name, and how long it holds."""
    assert [(each.name, each.is_local, each.is_reset) for each in settings_of(text)] == found


CLOCKS = {"idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"}


@pytest.mark.parametrize("name", sorted(KEPT_AWAY - CLOCKS))
def test_what_would_be_refused_by_the_transaction_that_holds_the_test(name: str) -> None:
    """It belongs to no client."""
    assert settings_of(f"set {name} = 1") == settings_of(f"select set_config('{name}', '', true)")
    assert settings_of(f"set {name} = 1") == ()


@pytest.mark.parametrize("name", sorted(CLOCKS))
def test_what_would_end_the_transaction_that_holds_the_test(name: str) -> None:
    """It is a client's, so that it is shown, but no connection begins with it."""
    assert name in KEPT_AWAY
    assert settings_of(f"set {name} = 1") == (Setting(name, False),)
    assert clocks_of(f"select set_config('{name.upper()}', $1, true)") == {name}
    assert clocks_of(f"set my_{name} = 1") == set()
