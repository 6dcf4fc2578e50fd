"""Which tests of a suite count as coming out otherwise through the endpoint."""

from __future__ import annotations

import pytest

from tests.kit.driver_suites.outcomes import (
    Difference,
    Outcome,
    close,
    compare,
    is_complete,
    read,
)

_PASSED = Outcome("passed")
_FAILED = Outcome("failed", "assert 1 == 2\n\ntest.py:3: in test")
_SKIPPED = Outcome("skipped", "no hstore")


def test_the_same_outcomes_are_no_difference():
    """Whatever they are: a test that fails on real connections too says nothing."""
    runs = [{"passes": _PASSED, "fails": _FAILED, "skips": _SKIPPED}]
    comparison = compare("suite", runs, runs)

    assert comparison.differences == ()
    assert (comparison.tests, comparison.passed, comparison.unsteady) == (3, 1, ())


@pytest.mark.parametrize("there", [_FAILED, _SKIPPED, Outcome("hung"), Outcome("error")])
def test_another_outcome_is_a_difference(there):
    """A test that is skipped through the endpoint alone differs, too."""
    comparison = compare("suite", [{"a": _PASSED}, {"a": _PASSED}], [{"a": there}])

    assert comparison.differences == (Difference("a", _PASSED, there),)


def test_one_differing_run_through_the_endpoint_is_enough():
    """What only sometimes goes wrong goes wrong."""
    comparison = compare("suite", [{"a": _PASSED}], [{"a": _PASSED}, {"a": _FAILED}])

    assert comparison.differences == (Difference("a", _PASSED, _FAILED),)


def test_what_is_unsteady_on_real_connections_is_set_aside():
    """It is listed, and no difference, whatever the endpoint makes of it."""
    comparison = compare("suite", [{"a": _PASSED}, {"a": _FAILED}], [{"a": Outcome("hung")}])

    assert comparison.unsteady == ("a",)
    assert comparison.differences == ()
    assert comparison.passed == 0


def test_a_test_of_one_side_alone_differs():
    """So a suite that is broken off through the endpoint does not look well."""
    comparison = compare("suite", [{"a": _PASSED}], [{"b": _PASSED}])

    found = [
        (each.test, each.real.verdict, each.endpoint.verdict) for each in comparison.differences
    ]
    assert found == [("a", "passed", "missing"), ("b", "missing", "passed")]


def test_causes_are_what_the_endpoint_said():
    """Names, numbers and addresses do not make two causes of one; the largest group comes first."""
    endpoint = {
        "a": Outcome("failed", 'Error: relation "x" is held by 17'),
        "b": Outcome("failed", 'Error: relation "y" is held by 3'),
        "c": Outcome("error", "Error: gone"),
        "d": _PASSED,
    }
    real = {"a": _PASSED, "b": _PASSED, "c": _PASSED, "d": Outcome("failed", "too old")}
    groups = compare("suite", [real], [endpoint]).causes()

    assert [(group[0].cause, len(group)) for group in groups] == [
        ('failed: Error: relation "…" is held by N', 2),
        ("error: Error: gone", 1),
        ("passed; on a real connection failed: too old", 1),
    ]


def test_outcomes_are_read_line_by_line(tmp_path):
    """Only an end by pytest's own decision makes the file complete."""
    path = tmp_path / "suite.jsonl"
    path.write_text(
        '{"began": "a"}\n'
        '{"test": "a", "outcome": "failed", "message": "no", "seconds": 0.5}\n'
        '{"began": "b"}\n'
    )

    assert read(path) == {"a": Outcome("failed", "no", 0.5)}
    assert not is_complete(path)


@pytest.mark.parametrize(("status", "complete"), [(0, True), (1, True), (5, True), (2, False)])
def test_an_interrupted_suite_is_not_complete(tmp_path, status, complete):
    """2 is pytest's exit status for it (pytest.ExitCode)."""
    path = tmp_path / "suite.jsonl"
    path.write_text(f'{{"end": {status}}}\n')

    assert is_complete(path) is complete


def test_a_test_that_ended_the_process_is_known(tmp_path):
    """It began and has no outcome; the next process leaves it out."""
    path = tmp_path / "suite.jsonl"
    path.write_text('{"began": "a"}\n{"end": 3}\n')  # pytest's exit status for an internal error
    close(path)
    close(path)

    assert read(path) == {"a": Outcome("died", "the process ended while the test ran")}


def test_a_test_that_is_to_run_again_has_not_ended_the_process(tmp_path):
    """It found its target lost."""
    path = tmp_path / "suite.jsonl"
    path.write_text('{"began": "a"}\n{"again": "a"}\n')
    close(path)

    assert read(path) == {}


def test_a_file_that_is_not_there_has_no_outcomes(tmp_path):
    """So the first process starts like every other."""
    path = tmp_path / "suite.jsonl"
    close(path)

    assert read(path) == {}
    assert not is_complete(path)
