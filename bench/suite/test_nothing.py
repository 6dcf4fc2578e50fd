"""Tests that use no database."""

from __future__ import annotations

import os

import pytest


@pytest.mark.parametrize("number", range(int(os.environ["BENCH_TESTS"])))
def test_arithmetic(number):
    """Numbers add up."""
    assert number + number == 2 * number
