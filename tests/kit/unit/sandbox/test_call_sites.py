"""The place that a message names is in the project, not in a library that the project calls."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pgsandbox.sandbox.call_sites import place


def _installed(name: str) -> Callable[[Callable[[], str]], str]:
    """A function of the installed package *name* that calls what it is given."""
    file = str(Path(sysconfig.get_path("purelib"), name, "session.py"))
    names = {"__name__": f"{name}.session"}
    exec(  # noqa: S102  # nothing may be written below site-packages
        compile("def call(function):\n    return function()\n", file, "exec"), names
    )
    return names["call"]  # type: ignore[return-value]


def test_the_project_is_named_past_any_library() -> None:
    """A library that nobody has heard of stands between the project and SQLAlchemy."""
    call = _installed("sqlmodel_of_somebody")

    assert call(place).startswith(os.path.relpath(__file__) + ":")


def test_a_thread_of_a_library_is_named_by_the_library() -> None:
    """Where nothing of the project is on the way, the library's own line is the best there is."""
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(_installed("scheduler_of_somebody"), place).result()

    assert found.endswith("scheduler_of_somebody/session.py:2")
