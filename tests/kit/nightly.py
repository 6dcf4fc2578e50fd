"""Choices of a test that ``nox -s all`` leaves to the night (`CONTRIBUTING.md`)."""

from __future__ import annotations

from typing import Any

import pytest


def by_night(*choices: Any) -> list[Any]:
    """Return *choices* for a test or a fixture that has others by day; a tuple is several values.

    Of drivers that are used alike, of moments, of numbers of workers, the first is tried by day.
    """
    return [
        pytest.param(*(each if isinstance(each, tuple) else (each,)), marks=pytest.mark.nightly)
        for each in choices
    ]
