"""Plays each behaviour; what it does is compared afterwards, so nothing is asserted here."""

import planted
import pytest
from behaviour import behaviours
from stage import Stage


def pytest_generate_tests(metafunc):
    """One test for each behaviour and driver."""
    found = [*behaviours(in_turn=metafunc.config.getoption("in_turn"))]
    if metafunc.config.getoption("planted"):
        found = [*planted.behaviours()]
    metafunc.parametrize("behaviour", [pytest.param(each, id=str(each)) for each in found])


def test_behaviour(behaviour, pg, record):
    """Its transcript is recorded."""
    stage = Stage(pg.url)
    stage.play(behaviour.body, *behaviour.drivers)
    record(stage.lines)
