"""Load this project's own plugin late, so that pytest-cov measures it (CONTRIBUTING.md)."""

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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

# Modules whose tests take longest, by far: a worker that meets one last keeps the others waiting.
_LONGEST = (
    "differential/test_behaviours.py",
    "cli/test_init.py",
    "schema/test_differences.py",
    "sandbox/test_rows.py",
    "schema/test_environments.py",
    "integration/test_examples.py",
    "plugin/test_startup_errors.py",
    "plugin/test_silently_off.py",
    "integration/test_crash.py",
    "plugin/test_reuse.py",
    "schema/test_diff_command.py",
    "sandbox/test_async_rows.py",
    "factories/test_generated.py",
    "databases/test_lifecycle.py",
    "plugin/test_workers.py",
    "databases/test_foreign_databases.py",
    "endpoint/test_volumes.py",
    "integration/test_messages.py",
    "integration/test_tutorials.py",
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let the garbage collector pass over six thousand tests, which stay to the end of the run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the modules that take longest come first, in whatever order the others are."""
    places = {name: place for place, name in enumerate(_LONGEST)}

    def place(item: pytest.Item) -> int:
        return places.get("/".join(item.path.parts[-2:]), len(places))

    items.sort(key=place)
