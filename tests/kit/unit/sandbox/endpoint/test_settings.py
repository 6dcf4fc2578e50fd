"""What a text sets, the options of a connection, and literals."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.settings import KEPT_AWAY, parse_options, quoted, settings_of


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


@pytest.mark.parametrize("name", sorted(each for each in KEPT_AWAY if "timeout" not in each))
def test_what_is_the_transactions_own(name: str) -> None:
    """It is no setting that outlives the statement; the clocks are each client's, and stand still."""
    assert settings_of(f"set {name} = 1") == settings_of(f"select set_config('{name}', '', true)")
    assert settings_of(f"set {name} = 1") == ()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SET work_mem = '5MB'", ["work_mem"]),
        ("SELECT 1; RESET role", ["role"]),
        ("SET SESSION AUTHORIZATION a", ["session_authorization", "role"]),
        ("SELECT set_config('My.Word', 'a', true)", ["my.word"]),
        ("DO $$ BEGIN SET work_mem = '5MB'; END $$", ["work_mem"]),
        ("UPDATE a SET b = 1", []),
        ("CREATE FUNCTION f() RETURNS void AS $$ BEGIN SET work_mem = '5MB'; END $$", []),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", ["default_transaction_read_only"]),
        ("SET transaction_read_only = on", []),
        ("SET SEED TO 0.5", []),
    ],
)
def test_what_the_words_of_a_text_set(text: str, names: list[str]) -> None:
    """As far as its words show it; what a function does when it is called is not in them."""
    assert [each.name for each in settings_of(text)] == names


def test_what_a_function_sets() -> None:
    """Its source is a block, in which SET is a statement after BEGIN, THEN and the like, too."""
    source = "BEGIN IF a THEN SET work_mem = '5MB'; END IF; END"

    assert [each.name for each in settings_of(source, is_source=True)] == ["work_mem"]
