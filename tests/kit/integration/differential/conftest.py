"""Folders in which the behaviours are played."""

from __future__ import annotations

import pytest

from tests.kit.differential.playing import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A folder for both sides; a test that takes a quarter of a minute hangs."""
    return Stage(tmp_path_factory.mktemp("differential"), patience=15.0)
