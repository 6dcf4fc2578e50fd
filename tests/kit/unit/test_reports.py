"""Reports as people and programs read them."""

import json

import pytest

from pgsandbox.reports import Finding, Report, in_order

LINE = Finding(
    "PGS301",
    "time.sleep() waits",
    path="tests/a b/test_é.py",
    line=5,
    column=7,
    remedy="Wait for an event.",
    page="reference/lint/#pgs301",
)
TABLE = Finding(
    "PGD101",
    "the default differs",
    subject="orders.placed_at",
    details={"models": "now()", "migrations": "clock_timestamp()\nat time zone 'utc'", "none": ""},
)
REPORT = Report((LINE, TABLE), "2 files, 2 findings")
EMPTY = Report((), "2 files, 0 findings")


def test_text():
    """A place that a terminal can open, the details below each other, the remedy, the summary."""
    assert REPORT.text().splitlines() == [
        "tests/a b/test_é.py:5:7: PGS301 time.sleep() waits",
        "  Wait for an event.",
        "orders.placed_at: PGD101 the default differs",
        "  models      now()",
        "  migrations  clock_timestamp()",
        "              at time zone 'utc'",
        "  none",
        "2 files, 2 findings",
    ]


def test_json():
    """What is empty is left out."""
    assert json.loads(REPORT.json()) == {
        "summary": "2 files, 2 findings",
        "findings": [
            {
                "code": "PGS301",
                "message": "time.sleep() waits",
                "path": "tests/a b/test_é.py",
                "line": 5,
                "column": 7,
                "remedy": "Wait for an event.",
                "page": "reference/lint/#pgs301",
            },
            {
                "code": "PGD101",
                "message": "the default differs",
                "subject": "orders.placed_at",
                "details": dict(TABLE.details),
            },
        ],
    }


def test_annotations():
    """GitHub's workflow commands, then the summary for the log."""
    place = "file=tests/a b/test_é.py,line=5,col=7"

    assert REPORT.annotations().splitlines() == [
        f"::error {place},title=PGS301::time.sleep() waits Wait for an event.",
        "::error title=PGD101::orders.placed_at the default differs",
        "2 files, 2 findings",
    ]


def test_annotations_are_escaped():
    """A property ends at a comma or a colon, a message at the end of the line."""
    finding = Finding("A,1", "100 %: a,\nb\rc", path="a,b:c%.py", line=1)
    first, _ = Report((finding,), "").annotations().split("\n")

    assert first == "::error file=a%2Cb%3Ac%25.py,line=1,title=A%2C1::100 %25: a,%0Ab%0Dc"


@pytest.mark.parametrize(("report", "code"), [(REPORT, 1), (EMPTY, 0)])
def test_the_exit_code(report, code):
    """1 for findings."""
    assert report.exit_code == code


def test_an_empty_report():
    """Every form of it is well-formed."""
    assert EMPTY.text() == EMPTY.annotations() == "2 files, 0 findings"
    assert json.loads(EMPTY.json())["findings"] == []


def test_the_order_does_not_depend_on_the_machine():
    """By path, line and column; then by what has no file's place."""
    last = Finding("A", "m", path="b.py", line=10)
    first = Finding("B", "m", path="a.py", line=20)
    middle = Finding("C", "m", path="b.py", line=9)

    assert in_order([last, TABLE, middle, first]) == (TABLE, first, middle, last)
