"""Sums of several runs, shares, and the order of what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgsandbox.errors import ConfigurationError
from pgsandbox.schema.coverage import Coverage, combined, read, table_of, write, write_pages
from pgsandbox.schema.coverage.data import IMPORTANCE, KINDS, Part, merged


def _coverage(*parts: Part, **more: object) -> Coverage:
    return Coverage({each.key: each for each in parts}, **more)  # type: ignore[arg-type]


def _check(state: str) -> Part:
    return Part("check", "shops", "has_seats", "CHECK ((seats > 0))", {"refused": state})


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("no", "yes", "yes"),
        ("arranged", "yes", "yes"),
        ("no", "arranged", "arranged"),
        ("no", "unknown", "unknown"),
        ("unknown", "arranged", "arranged"),
        ("no", "no", "no"),
    ],
)
@pytest.mark.parametrize("is_turned", [False, True])
def test_what_one_has_touched_was_touched(
    one: str, other: str, together: str, is_turned: bool
) -> None:
    """In whatever order they are added."""
    several = [_coverage(_check(one)), _coverage(_check(other))]
    total = merged(several[::-1] if is_turned else several)

    assert total.parts["check shops has_seats"].points == {"refused": together}


def test_a_sum_changes_none_of_its_parts() -> None:
    """They may be added up again."""
    first = _coverage(_check("no"))
    merged([first, _coverage(_check("yes"))])

    assert first.parts["check shops has_seats"].points == {"refused": "no"}


def test_what_could_not_be_told_counts_for_nothing() -> None:
    """Neither for nor against."""
    trigger = Part("trigger", "shops", "touches", "", {"fired": "unknown"})
    column = Part("column", "shops", "name", "", {"written": "arranged", "read": "no"})
    found = _coverage(trigger, column)

    assert found.count() == (1, 2)
    assert found.percent == 50.0
    assert Coverage().percent == 100.0


def test_constraints_come_before_columns() -> None:
    """And the table that nobody has written before all, by itself."""
    found = _coverage(
        Part("column", "shops", "name", "", {"read": "no"}),
        _check("no"),
        Part("table", "unused", "unused", "", {"written": "no", "read": "no"}),
        Part("column", "unused", "what", "", {"read": "no"}),
        Part("action", "shops", "of_city ON DELETE CASCADE", "", {"fired": "no"}),
    )

    assert [(each.part.kind, each.part.table, each.point) for each in found.missed()] == [
        ("table", "unused", "written"),
        ("check", "shops", "refused"),
        ("action", "shops", "fired"),
        ("column", "shops", "read"),
    ]
    assert found.untouched_below("unused") == 3


def test_every_kind_has_its_place() -> None:
    """In the summary and among what is missing."""
    assert {kind for kind, _ in IMPORTANCE} == set(KINDS)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """With all that is known of it."""
    found = _coverage(
        _check("no"), statements=3, opaque={"X": "why"}, routines=["f()"], notes=["n"]
    )
    write({"default": found}, tmp_path / "data")

    assert read(tmp_path / "data") == {"default": found}


@pytest.mark.parametrize(
    "text", ["", "{}", '{"version": 0}', '{"version": 1, "databases": {"a": 1}}']
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    """By an error that names it."""
    (tmp_path / "data").write_text(text)

    with pytest.raises(ConfigurationError, match="is no data file of schema coverage"):
        read(tmp_path / "data")


def test_databases_are_added_up_by_their_names() -> None:
    """A run that has not opened one says nothing of it."""
    total = combined([{"default": _coverage(_check("no"))}, {"audit": _coverage(_check("yes"))}])

    assert {name: each.percent for name, each in total.items()} == {"default": 0, "audit": 100}


def test_the_table_says_what_was_left_out() -> None:
    """And where all of it is."""
    columns = [Part("column", "shops", f"c{n}", "", {"read": "no"}) for n in range(5)]
    lines = table_of(_coverage(*columns), shown=2)

    assert lines[0] == "schema coverage: 0 % (0 of 5), from 0 different statements"
    assert sum("was never read" in line for line in lines) == 2
    assert lines[-1].strip().startswith("... 3 more")


def test_pages_escape_what_a_schema_says(tmp_path: Path) -> None:
    """A definition may hold anything."""
    part = Part("check", "<b>", "a&b", "CHECK ((a < 'x'))", {"refused": "no"})
    index = write_pages({"default": _coverage(part)}, tmp_path)

    assert "<td>&lt;b&gt;: a&amp;b</td>" in index.read_text()
    assert "CHECK ((a &lt; &#x27;x&#x27;))" in (tmp_path / "default_b.html").read_text()
