"""The table of what comes out otherwise, and the causes with an example each."""

from __future__ import annotations

from collections.abc import Sequence

from tests.kit.crash.rounds import as_table
from tests.kit.driver_suites.outcomes import Comparison, Difference

_HEAD = ("suite", "tests", "passed on real connections", "unsteady there", "differ", "share")


def report(comparisons: Sequence[Comparison]) -> str:
    """What to read after a run, in Markdown."""
    parts = [table(comparisons)]
    parts += [_of_suite(each) for each in comparisons if each.differences or each.unsteady]
    return "\n\n".join(parts)


def table(comparisons: Sequence[Comparison]) -> str:
    """One line for each suite, and their sum."""
    rows = [
        _row(each.suite, each.tests, each.passed, len(each.unsteady), len(each.differences))
        for each in comparisons
    ]
    rows.append(
        _row(
            "all",
            sum(each.tests for each in comparisons),
            sum(each.passed for each in comparisons),
            sum(len(each.unsteady) for each in comparisons),
            sum(len(each.differences) for each in comparisons),
        )
    )
    return as_table(_HEAD, rows)


def _row(name: str, tests: int, passed: int, unsteady: int, differ: int) -> list[str]:
    share = f"{differ / tests:.2%}" if tests else "-"
    return [name, *map(str, (tests, passed, unsteady, differ)), share]


def _of_suite(comparison: Comparison) -> str:
    lines = [f"## {comparison.suite}"]
    for group in comparison.causes():
        lines += ["", f"{len(group)} x {group[0].cause}", "", _example(group[0])]
        lines += [f"    {difference.test}" for difference in group[1:]]
    if comparison.unsteady:
        lines += ["", "Unsteady on real connections, so nothing is said of them:", ""]
        lines += [f"    {test}" for test in comparison.unsteady]
    return "\n".join(lines)


def _example(difference: Difference) -> str:
    real, endpoint = difference.real, difference.endpoint
    return (
        f"    {difference.test}\n"
        f"      real      {real.verdict}: {real.words}\n"
        f"      endpoint  {endpoint.verdict}: {endpoint.words}"
    )
