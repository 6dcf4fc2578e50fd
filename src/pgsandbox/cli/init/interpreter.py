"""A Python module run as a program, in the environment that pgsandbox is installed in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def run(
    module: str,
    *arguments: str,
    cwd: Path,
    environ: Mapping[str, str],
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Return what ``python -m`` *module* has said, and how it has ended.

    Raises:
        subprocess.TimeoutExpired: it did not end within *seconds*, and was killed.
    """
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
