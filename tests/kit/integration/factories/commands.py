"""``pgsandbox factories`` in a process of its own, as people run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pgsandbox

_SOURCE = str(Path(pgsandbox.__file__).parents[1])


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command said in the project at *path*, and how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "pgsandbox", "factories", *arguments],
        cwd=path,
        env={**os.environ, "PYTHONPATH": _SOURCE, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
