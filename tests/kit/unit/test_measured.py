"""The list of the tests whose runs are measured."""

import tomllib

import pytest

from tests.kit.measured import FILE, choose


@pytest.mark.parametrize("what", ["runs", "started"])
def test_each_entry_names_a_test(what: str) -> None:
    """A test that was renamed would no longer be measured, and nobody would see why.

    So would one whose parameters are others now; the figure of the report would tell.
    """
    missing = []
    for entry in tomllib.loads(FILE.read_text("utf-8"))[what]:
        path, _, name = entry.partition("[")[0].partition("::")
        place = FILE.parent / path
        if place.is_dir() and name:
            place /= "conftest.py"
        if not place.exists() or (name and f"def {name}(" not in place.read_text("utf-8")):
            missing.append(entry)

    assert missing == []


def test_what_takes_most_branches_in_the_least_time_is_chosen() -> None:
    """Runs before what they start, and nothing for the few that would take long to see."""

    def branches(*lines: int) -> set[tuple[int, int, int]]:
        return {(1, line, line + 1) for line in lines}

    found = {
        "": branches(*range(100)),
        "runs tests/kit/one.py::test_long": branches(*range(90, 130)),
        "runs tests/kit/one.py::test_many": branches(*range(90, 120)),
        "runs tests/kit/one.py::test_other": branches(1, 300, 301, 302),
        "runs tests/kit/one.py::test_same": branches(99, 100, 101),
        "started tests/kit/two.py::run": branches(*range(120, 130)),
        "started tests/kit/two.py::test_nearly_nothing": branches(1, 200),
    }
    seconds = {name: 0.2 for name in found if name.startswith("runs ")}
    seconds["runs tests/kit/one.py::test_long"] = 8

    assert choose(found, seconds) == {
        "runs": ["one.py::test_many", "one.py::test_other"],
        "started": ["two.py::run"],
    }
