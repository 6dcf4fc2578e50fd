"""The list of the tests whose runs are measured."""

import tomllib

import pytest

from tests.kit.measured import FILE


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
