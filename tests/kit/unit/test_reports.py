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


def sarif_of(report, **more):
    """The run in a report's SARIF."""
    document = json.loads(report.sarif(tool="pgsandbox", version="1.2", **more))
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = document["runs"]
    return run


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


def test_a_finding_of_a_line_in_sarif():
    """What GitHub's code scanning asks for: rule, level, message, a relative URI, a region."""
    result = sarif_of(REPORT)["results"][0]

    assert result == {
        "ruleId": "PGS301",
        "level": "error",
        "message": {"text": "time.sleep() waits Wait for an event."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "tests/a%20b/test_%C3%A9.py"},
                    "region": {"startLine": 5, "startColumn": 7},
                }
            }
        ],
    }


def test_a_finding_without_a_file_in_sarif():
    """Its place is a name."""
    result = sarif_of(REPORT)["results"][1]

    assert result["locations"] == [
        {"logicalLocations": [{"fullyQualifiedName": "orders.placed_at"}]}
    ]


def test_a_file_without_a_line_in_sarif():
    """Lines and columns begin at 1 there."""
    finding = Finding("PGS001", "unreadable", path="a.py")
    (result,) = sarif_of(Report((finding,), ""))["results"]
    place = result["locations"][0]["physicalLocation"]

    assert place["region"] == {"startLine": 1, "startColumn": 1}


def test_a_finding_of_no_place_in_sarif():
    """It has no locations, rather than an empty one."""
    (result,) = sarif_of(Report((Finding("X", "said"),), ""))["results"]

    assert "locations" not in result


def test_rules_in_sarif():
    """Each that was broken, once, with the descriptions and the help that GitHub insists on."""
    run = sarif_of(Report((LINE, LINE, TABLE), ""), titles={"PGS301": "A test waits."})
    by_code = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}

    assert run["tool"]["driver"]["name"] == "pgsandbox"
    assert run["tool"]["driver"]["version"] == "1.2"
    assert by_code == {
        "PGS301": {
            "id": "PGS301",
            "shortDescription": {"text": "A test waits."},
            "fullDescription": {"text": "A test waits."},
            "help": {"text": "Wait for an event. reference/lint/#pgs301"},
        },
        "PGD101": {
            "id": "PGD101",
            "shortDescription": {"text": "PGD101"},
            "fullDescription": {"text": "PGD101"},
            "help": {"text": "PGD101"},
        },
    }


def test_columns_in_sarif_are_characters():
    """The format's own default counts UTF-16."""
    assert sarif_of(EMPTY)["columnKind"] == "unicodeCodePoints"


@pytest.mark.parametrize(("report", "code"), [(REPORT, 1), (EMPTY, 0)])
def test_the_exit_code(report, code):
    """1 for findings."""
    assert report.exit_code == code


def test_an_empty_report():
    """Every form of it is well-formed."""
    assert EMPTY.text() == EMPTY.annotations() == "2 files, 0 findings"
    assert json.loads(EMPTY.json())["findings"] == []
    assert sarif_of(EMPTY)["results"] == []


def test_the_order_does_not_depend_on_the_machine():
    """By path, line and column; then by what has no file's place."""
    last = Finding("A", "m", path="b.py", line=10)
    first = Finding("B", "m", path="a.py", line=20)
    middle = Finding("C", "m", path="b.py", line=9)

    assert in_order([last, TABLE, middle, first]) == (TABLE, first, middle, last)
