"""The list of the tests whose runs are measured."""

import tomllib

import pytest

from tests.kit.measured import FILE, choose


@pytest.mark.parametrize("what", ["runs", "whole"])
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


def test_what_takes_branches_of_its_own_is_chosen() -> None:
    """The most first, runs before whole tests, and nothing for what others have taken."""

    def branches(*lines: int) -> set[tuple[int, int, int]]:
        return {(1, line, line + 1) for line in lines}

    found = {
        "": branches(*range(100)),
        "runs tests/kit/one.py::test_few": branches(99, 100, 101),
        "runs tests/kit/one.py::test_many": branches(*range(90, 110)),
        "runs tests/kit/one.py::test_other": branches(1, 300, 301),
        "whole tests/kit/two.py::run": branches(*range(110, 130)),
        "whole tests/kit/two.py::test_nearly_nothing": branches(1, 200),
    }

    assert choose(found) == {
        "runs": ["one.py::test_many", "one.py::test_other"],
        "whole": ["two.py::run"],
    }
