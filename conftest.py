"""Load this project's own plugin late, so that pytest-cov measures it (CONTRIBUTING.md)."""

import os
import signal
import tempfile
from pathlib import Path

pytest_plugins = ["pgsandbox.plugin", "pytester"]

# A shell lets its background jobs ignore SIGINT, and so do all their children: those that the tests
# interrupt would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests of the kit make databases that are nobody's. Each worker has an embedded server of its own,
# so that no other worker's clone test is told of them.
_worker = os.environ.get("PYTEST_XDIST_WORKER")
if _worker and "PGSANDBOX_RUNDIR" not in os.environ:
    _memory = Path("/dev/shm")  # noqa: S108 - a folder of one's own in it
    _parent = _memory if os.access(_memory, os.W_OK) else Path(tempfile.gettempdir())
    _folder = _parent / f"pgsandbox-{os.getuid()}-{_worker}"
    _folder.mkdir(mode=0o755, exist_ok=True)
    os.environ["PGSANDBOX_RUNDIR"] = str(_folder)
