"""Plays random programs; what they do is compared afterwards, so nothing is asserted here."""

import pytest
from programs import play, program
from stage import Stage


def pytest_generate_tests(metafunc):
    """One test for each program."""
    first = metafunc.config.getoption("seed")
    seeds = range(first, first + metafunc.config.getoption("programs"))
    if metafunc.config.getoption("planted"):
        seeds = []
    metafunc.parametrize("seed", [pytest.param(seed, id=f"programs.{seed}") for seed in seeds])


def test_program(seed, pg, record):
    """Its transcript is recorded."""
    stage = Stage(pg.url)
    stage.play(play, program(seed))
    record(stage.lines)
