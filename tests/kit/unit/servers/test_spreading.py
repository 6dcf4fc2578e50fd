"""Folders whose subfolders are put far from each other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pgsandbox.servers.spreading import spread


def _attributes(folder: Path) -> str:
    done = subprocess.run(["lsattr", "-d", folder], capture_output=True, text=True, check=False)
    return done.stdout.split(" ", maxsplit=1)[0]


def _is_ext4(folder: Path) -> bool:
    command = ["stat", "--file-system", "--format=%T", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.startswith("ext")


def test_a_folder_is_marked_as_the_top_of_hierarchies(tmp_path: Path) -> None:
    """As `chattr +T` does it, and without another change."""
    if not _is_ext4(tmp_path) or not shutil.which("lsattr"):
        pytest.skip("needs ext4 and lsattr")
    before = _attributes(tmp_path)
    spread(tmp_path)

    assert "T" not in before
    assert _attributes(tmp_path).replace("T", "-") == before
    assert "T" in _attributes(tmp_path)


def test_where_that_is_impossible_nothing_happens() -> None:
    """A file system without such attributes, or no folder at all."""
    spread(Path("/proc"))
    spread(Path("/no/such/folder"))

    assert not Path("/no/such/folder").exists()
