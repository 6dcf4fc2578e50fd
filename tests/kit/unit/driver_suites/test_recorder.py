"""What the plugin writes down inside of somebody else's pytest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.driver_suites import inside
from tests.kit.driver_suites.inside.suite_recorder import HUNG, LOST
from tests.kit.driver_suites.outcomes import close, is_complete, read

pytestmark = pytest.mark.nightly

_SUITE = """
import os
import threading
import unittest
import pytest

def test_passes(): pass
def test_fails(): assert 1 == 2, "as it should"
def test_skips(): pytest.skip("no server")
@pytest.mark.xfail
def test_is_expected_to_fail(): assert False
@pytest.mark.xfail
def test_is_expected_to_fail_and_passes(): pass
@pytest.fixture
def broken():
    raise ValueError("set-up")
@pytest.fixture
def leaking():
    yield
    raise ValueError("teardown")
def test_has_a_broken_fixture(broken): pass
def test_leaks(leaking): pass
class TestParts(unittest.TestCase):
    def test_fails_in_part(self):
        for number in (1, 2):
            with self.subTest(number=number):
                assert number == 1
"""


@pytest.fixture
def record(pytester, monkeypatch):
    """The file of a suite that pytester runs."""
    path = pytester.path / "record.jsonl"
    monkeypatch.setenv("PYTHONPATH", str(Path(inside.__file__).parent))
    monkeypatch.setenv("SUITE_RECORD", str(path))
    monkeypatch.setenv("SUITE_LIMIT", "60")
    monkeypatch.setenv("SUITE_LOST", "SandboxLost")
    return path


def _run(pytester, source):
    pytester.makepyfile(test_suite=source)
    words = ("-p", "suite_recorder", "-p", "no:pgsandbox", "-p", "no:randomly")
    return pytester.runpytest_subprocess(*words)


def _verdicts(record):
    return {name.rpartition("::")[2]: each.verdict for name, each in read(record).items()}


def test_every_outcome_has_its_word(pytester, record):
    """A teardown that fails is an error although the test passed; so is a part that fails."""
    _run(pytester, _SUITE)

    assert _verdicts(record) == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skips": "skipped",
        "test_is_expected_to_fail": "xfailed",
        "test_is_expected_to_fail_and_passes": "xpassed",
        "test_has_a_broken_fixture": "error",
        "test_leaks": "error",
        "test_fails_in_part": "failed",
    }
    assert is_complete(record)


def test_the_error_comes_first(pytester, record):
    """The first line of the message says what the test said."""
    _run(pytester, _SUITE)
    outcomes = read(record)

    assert outcomes["test_suite.py::test_fails"].words == "AssertionError: as it should"
    assert outcomes["test_suite.py::test_leaks"].words == "ValueError: teardown"
    assert outcomes["test_suite.py::test_skips"].words == "Skipped: no server"


def test_a_module_that_cannot_be_imported_is_recorded(pytester, record):
    """It would be missing silently otherwise."""
    _run(pytester, "import nothing_of_that_name")

    assert _verdicts(record) == {"test_suite.py": "error"}
    assert not is_complete(record)


def test_a_suite_goes_on_after_the_test_that_ended_its_process(pytester, record):
    """Neither what was done nor what ended it runs again."""
    source = "import os\ndef test_a(): pass\ndef test_b(): os._exit(3)\ndef test_c(): pass\n"
    _run(pytester, source)
    close(record)
    result = _run(pytester, source)

    result.assert_outcomes(passed=1, deselected=2)
    assert _verdicts(record) == {"test_a": "passed", "test_b": "died", "test_c": "passed"}
    assert is_complete(record)


def test_a_test_that_hangs_is_named(pytester, record, monkeypatch):
    """It ends its process, and the stacks say where it hung."""
    monkeypatch.setenv("SUITE_LIMIT", "1")
    source = "import threading\ndef test_waits():\n    threading.Event().wait()\n"
    result = _run(pytester, source)
    outcome = read(record)["test_suite.py::test_waits"]

    assert result.ret == HUNG
    assert outcome.verdict == "hung"
    assert outcome.words == "no end after 1 s"
    assert "in test_waits" in outcome.message


def test_a_lost_target_is_given_up(pytester, record):
    """The test that finds it so runs again on the next one, where only it can be to blame."""
    source = (
        "def test_a(): pass\n"
        "def test_b(): raise ValueError('SandboxLost: gone')\n"
        "def test_c(): pass\n"
    )
    results = [_run(pytester, source).ret]
    first = _verdicts(record)
    results += [_run(pytester, source).ret, _run(pytester, source).ret]

    assert results == [LOST, LOST, 0]
    assert first == {"test_a": "passed"}
    assert _verdicts(record) == {"test_a": "passed", "test_b": "failed", "test_c": "passed"}
