"""Tasks of a test's event loop that go on when the test has returned.

A loop that ends with its test cancels them, in the middle of what they do. On one that lives on,
they go on in the next test, and write there.
"""

from __future__ import annotations

import asyncio
import linecache
import weakref
from collections.abc import Iterable
from typing import Any

from pgsandbox.sandbox import call_sites

_SHOWN = 5
"""Tasks that are named."""


class PendingTasks:
    """Knows which tasks were pending before a test, so that the others are the test's own."""

    def __init__(self, loops: Iterable[asyncio.AbstractEventLoop]) -> None:
        self._loops = loops
        """The loops on which connections were opened; more of them, as time goes on."""
        self._before: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def begin(self, fixtures: Iterable[object]) -> None:
        """Take what is pending for what the *fixtures* of the test, or wider ones, have begun."""
        self._before = weakref.WeakSet(_pending({*self._loops, *_loops_among(fixtures)}))

    def left(self) -> list[str]:
        """Return where each task of the project's own code stands that the test has left."""
        left = [task for task in _pending(set(self._loops)) if task not in self._before]
        places = [place for task in left if (place := _place_of(task))]
        more = len(places) - _SHOWN
        return sorted(places)[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])


def _pending(loops: set[asyncio.AbstractEventLoop]) -> list[asyncio.Task[Any]]:
    """Return the tasks of the *loops* that stand still: a loop that runs is a thread's."""
    quiet = [loop for loop in loops if not loop.is_closed() and not loop.is_running()]
    return [task for loop in quiet for task in asyncio.all_tasks(loop)]


def _loops_among(fixtures: Iterable[object]) -> set[asyncio.AbstractEventLoop]:
    found = set()
    for each in fixtures:
        if isinstance(each, asyncio.AbstractEventLoop):
            found.add(each)
        elif isinstance(each, asyncio.Runner):
            found.add(each.get_loop())
    return found


def _place_of(task: asyncio.Task[Any]) -> str | None:
    """Return the name of *task* and where it waits; None for a library's."""
    code = getattr(task.get_coro(), "cr_code", None)
    if code is None or not call_sites.is_own(code.co_filename):
        return None
    stack = task.get_stack(limit=1)
    line = stack[0].f_lineno if stack else code.co_firstlineno
    text = linecache.getline(code.co_filename, line).strip()
    place = f"{call_sites.relative(code.co_filename)}:{line}"
    return f"{task.get_name()}, {code.co_qualname}() at {place}{f': {text}' if text else ''}"
