"""What the script prints."""

from __future__ import annotations

from tests.kit.driver_suites.outcomes import Comparison, Difference, Outcome
from tests.kit.driver_suites.report import report, table

_PASSED = Outcome("passed")
_COMPARISONS = (
    Comparison(
        "one",
        200,
        190,
        ("test_slow",),
        (
            Difference("test_a", _PASSED, Outcome("failed", "Error: 1 is not it\n\nmore")),
            Difference("test_b", _PASSED, Outcome("failed", "Error: 2 is not it")),
        ),
    ),
    Comparison("two", 200, 200, (), ()),
)


def test_the_table_has_a_line_for_each_suite():
    """And one for all of them."""
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table(_COMPARISONS).splitlines()
    ]

    assert lines[2:] == [
        ["one", "200", "190", "1", "2", "1.00%"],
        ["two", "200", "200", "0", "0", "0.00%"],
        ["all", "400", "390", "1", "2", "0.50%"],
    ]


def test_a_cause_is_told_once_with_an_example():
    """The other tests of the cause are listed, and those of which nothing is said."""
    assert report(_COMPARISONS).partition("## ")[2] == (
        "one\n"
        "\n"
        "2 x failed: Error: N is not it\n"
        "\n"
        "    test_a\n"
        "      real      passed: \n"
        "      endpoint  failed: Error: 1 is not it\n"
        "    test_b\n"
        "\n"
        "Unsteady on real connections, so nothing is said of them:\n"
        "\n"
        "    test_slow"
    )
