"""The verdicts on pairs of transcripts."""

from __future__ import annotations

import json
from pathlib import Path

from tests.kit.differential.comparing import Compared, Transcript, Verdict, compare, read, table

REAL = Transcript(["one", "two", "three"])
NO_LIMITS: dict[str, str] = {}


def test_equal_transcripts_are_the_same() -> None:
    """Not one word differs."""
    found = compare("a.b", Transcript(["one", "two", "three"]), REAL, NO_LIMITS)

    assert found == Compared("a.b", Verdict.SAME)


def test_what_is_said_at_the_end_is_told_beside() -> None:
    """A check of the kit at the end of a test is no difference of the behaviour."""
    mine = Transcript(["one", "two", "three"], ["EscapedFromSandbox"])
    found = compare("a.b", mine, REAL, NO_LIMITS)

    assert found == Compared("a.b", Verdict.SAME, end="EscapedFromSandbox")


def test_an_end_without_our_name_is_a_difference() -> None:
    """The test failed, and nobody knows why."""
    mine = Transcript(["one", "two", "three"], ["KeyError: 'x'"])

    assert compare("a.b", mine, REAL, NO_LIMITS).verdict is Verdict.DIFFERENT


def test_the_first_difference_decides() -> None:
    """A refusal after a silent difference excuses nothing."""
    mine = Transcript(["one", "2", "REFUSED NotInSandbox"])
    found = compare("a.b", mine, REAL, NO_LIMITS)

    assert found.verdict is Verdict.DIFFERENT
    assert found.why.split() == ["real", "two", "sandbox", "2"]


def test_a_refusal_is_named() -> None:
    """By its class, wherever in the line it stands."""
    mine = Transcript(["one", "c1: SELECT 1 -> REFUSED NotInSandbox [idle]"])

    assert compare("a.b", mine, REAL, NO_LIMITS).why == "NotInSandbox"


def test_lines_that_are_missing_are_a_difference() -> None:
    """So are those that are too many."""
    shorter = compare("a.b", Transcript(["one", "two"]), REAL, NO_LIMITS)
    longer = compare("a.b", Transcript(["one", "two", "three", "four"]), REAL, NO_LIMITS)

    assert (shorter.verdict, longer.verdict) == (Verdict.DIFFERENT, Verdict.DIFFERENT)


def test_what_hangs_is_a_difference() -> None:
    """It has no transcript."""
    assert compare("a.b", Transcript(), REAL, NO_LIMITS).verdict is Verdict.DIFFERENT


def test_what_could_not_begin_may_be_refused() -> None:
    """The test failed before its body, by an error of ours."""
    found = compare("a.b", Transcript(None, ["ForeignDatabase"]), REAL, NO_LIMITS)

    assert (found.verdict, found.why) == (Verdict.REFUSED, "ForeignDatabase")


def test_a_declared_limit_is_told() -> None:
    """For one driver, or for all of a behaviour."""
    mine = Transcript(["one", "2"])
    by_name = compare("a.b[psycopg]", mine, REAL, {"a.b": "now() stands still"})
    by_driver = compare("a.b[psycopg]", mine, REAL, {"a.b[psycopg]": "now() stands still"})
    by_another = compare("a.b[psycopg2]", mine, REAL, {"a.b[psycopg]": "now() stands still"})

    assert by_name.verdict is by_driver.verdict is Verdict.LIMITED
    assert by_another.verdict is Verdict.DIFFERENT


def test_a_limit_that_is_none_is_a_difference() -> None:
    """The list says what does not hold."""
    found = compare("a.b", Transcript(["one", "two", "three"]), REAL, {"a.b": "a limit"})

    assert found.verdict is Verdict.DIFFERENT


def test_a_failure_on_real_connections_compares_with_nothing() -> None:
    """The behaviour itself is wrong, even if both sides fail alike."""
    failed = Transcript(["one", "RAISED ValueError"])
    verdicts = [
        compare("a.b", failed, failed, NO_LIMITS).verdict,
        compare("a.b", Transcript(), Transcript(), NO_LIMITS).verdict,
        compare("a.b", REAL, Transcript(["one"], ["KeyError: 1"]), NO_LIMITS).verdict,
    ]

    assert verdicts == [Verdict.UNREAL] * 3


def test_a_record_is_read_by_name(tmp_path: Path) -> None:
    """What began and never ended has no lines."""
    entries = [
        {"id": "a.b", "phase": "begun"},
        {"id": "a.b", "phase": "played", "lines": ["one"]},
        {"id": "a.b", "phase": "end", "text": "EscapedFromSandbox"},
        {"id": "a.c", "phase": "begun"},
        {"id": "", "phase": "finished"},
    ]
    record = tmp_path / "record.jsonl"
    record.write_text("\n".join(json.dumps(entry) for entry in entries))

    assert read(record) == {
        "a.b": Transcript(["one"], ["EscapedFromSandbox"]),
        "a.c": Transcript(),
    }


def test_the_table_has_a_line_for_each_area() -> None:
    """And one for all."""
    found = table(
        [
            Compared("a.b", Verdict.SAME),
            Compared("a.c", Verdict.DIFFERENT),
            Compared("d.e", Verdict.REFUSED, "NotInSandbox"),
        ]
    )

    assert [line.split() for line in found.splitlines()[2:]] == [
        ["a", "2", "1", "0", "0", "1"],
        ["d", "1", "0", "1", "0", "0"],
        ["all", "3", "1", "1", "0", "1"],
    ]
