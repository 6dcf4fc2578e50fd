"""``pgsandbox factories`` in a process of its own, as people run it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pgsandbox
from tests.kit import forks

_SOURCE = str(Path(pgsandbox.__file__).parents[1])


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command said in the project at *path*, and how it ended."""
    environ = {**os.environ, "PYTHONPATH": _SOURCE, "COLUMNS": "80"}
    return forks.run("pgsandbox", "factories", *arguments, cwd=path, environ=environ, seconds=120)
