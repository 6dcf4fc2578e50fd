"""Whether this process has started others, as far as the operating system tells afterwards."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import resource


def ended() -> int:
    """Return a number that grows with every child process that has ended and been waited for."""
    if sys.platform == "win32":
        return 0
    # Every process touches memory before it runs (getrusage(2), ru_minflt).
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
