"""What a failing test's report shows of a refusal."""

from __future__ import annotations

from typing import Any

from pgsandbox.plugin.failure_report import text_of
from pgsandbox.sandbox.statement_places import StatementPlaces


def _refused(columns: list[str], row: str) -> dict[str, Any]:
    error = {
        "M": 'null value in column "name" violates not-null constraint',
        "D": f"Failing row contains ({row}).",
        "s": "public",
        "t": "users",
        "c": "name",
    }
    statement = {
        "text": "INSERT INTO users DEFAULT VALUES",
        "at": 0.0,
        "tag": "",
        "connection": "one",
        "token": "",
        "transaction": 0,
        "outcome": "open",
        "is_undone": False,
        "is_arranging": False,
        "error": error,
    }
    about = {"definition": None, "table": "users", "columns": columns, "of": None}
    return {
        "now": None,
        "sequences": {},
        "statements": [statement],
        "reads": [],
        "definitions": {"public.users.": about},
        "left_out": 0,
    }


def _report(story: dict[str, Any]) -> str:
    return text_of(
        story, StatementPlaces(), ValueError(), restarts_sequences=False, moves_clock=False
    )


def test_the_offending_values_have_their_columns() -> None:
    """First those of the constraint."""
    report = _report(_refused(["id", "name", "age"], "7, null, 40"))

    assert "name = null (with id = 7, age = 40)" in report


def test_a_secret_is_hidden_to_its_end() -> None:
    """A value that is not quoted has no end that one could read; its column is known here."""
    columns = ["id", "name", "password", "password_changed_at"]
    report = _report(_refused(columns, "7, null, correct horse battery, 2026-11-22 10:49:52"))

    assert "name = null (with id = 7, password = ***, password_changed_at = ***)" in report
    assert "horse" not in report
