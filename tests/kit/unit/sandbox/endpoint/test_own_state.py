"""Statements that ask for their own session, in the words that they are sent in."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.own_state import in_routine, rewriting_of
from pgsandbox.sandbox.endpoint.statements import classify


def sent(text: str) -> str:
    """Return what the server gets for *text*."""
    found = rewriting_of(text)
    return found.text if found is not None else text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'pg_backend_pid()'",
        "SELECT 1 -- pg_locks",
        "SELECT notify FROM settings",
        "SELECT app.pg_backend_pid()",
        "CREATE VIEW mine AS SELECT pg_backend_pid()",
        "SELECT pg_cancel_backend(pg_backend_pid())",
        "SELECT * FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    ],
)
def test_other_statements_stay_as_they_are(text: str) -> None:
    """Words in strings and comments, names of others, definitions, and what takes real ids."""
    assert sent(text) == text
    assert not classify(text).names_own_state


def test_a_call_keeps_the_name_of_its_column() -> None:
    """A subquery in its place is called as its one column is."""
    assert sent("SELECT pg_catalog.pg_backend_pid()").endswith(" AS pg_backend_pid)")


def test_a_view_of_the_catalog_is_shadowed() -> None:
    """By a query of its name, before the statement's own; its schema goes."""
    found = sent("WITH RECURSIVE mine AS (SELECT 1) SELECT * FROM pg_catalog.pg_locks, mine")

    assert found.startswith("WITH RECURSIVE pg_locks AS (SELECT ")
    assert found.endswith(" mine AS (SELECT 1) SELECT * FROM pg_locks, mine")


@pytest.mark.parametrize("word", ["nonsense", "pid,", "pg_locks"])
def test_positions_are_those_of_the_text_that_was_given(word: str) -> None:
    """An error's position points into what the client has sent."""
    text = "SELECT pid, pg_backend_pid() AS p, nonsense FROM pg_locks"
    found = rewriting_of(text)
    assert found is not None

    assert found.original(found.text.rindex(word) + 1) == text.rindex(word) + 1


def test_a_set_among_tables_keeps_its_alias() -> None:
    """With the name of the function where it has none."""
    assert sent("SELECT * FROM pg_listening_channels()").endswith(") AS pg_listening_channels")
    assert sent("SELECT c FROM pg_listening_channels() AS c").endswith(") AS c")


def test_a_routine_writes_down_what_it_notifies() -> None:
    """Calls and commands, and nothing that only looks like one."""
    source = "BEGIN PERFORM pg_notify('a', 'pg_notify(1)'); NOTIFY b, 'x'; notify := 1; END"
    found = in_routine(source, is_sql=False)

    assert found.count("'pgsandbox.notified'") == 4
    assert "'pg_notify(1)'" in found
    assert "notify := 1" in found
