"""Threads that outlive the test that has started them, and use the database in a later one.

A connection belongs to the test that opened it. What such a thread has of its test, the endpoint
refuses to go on with. A connection that it opens later is like anybody's: nothing tells a thread
that somebody has forgotten from one that works for the next test by now, as a pool of an
application does. So it is not refused, and the summary says what a thread did that was neither
there before its test nor waiting for work at its end.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from types import FrameType

from pgsandbox.sandbox import call_sites
from pgsandbox.sandbox.endpoint.sessions import Late

_MOST = 100
_WAITING = frozenset(
    {
        ("concurrent.futures.thread", "_worker"),
        ("multiprocessing.pool", "worker"),
        ("queue", "get"),
        ("asyncio.base_events", "run_forever"),
        ("anyio._backends._asyncio", "run"),
        ("socketserver", "serve_forever"),
    }
)
"""Functions in which a thread waits for work, by their modules."""


class LateThreads:
    """Knows which threads the running test has started, and which of earlier tests go on."""

    def __init__(self) -> None:
        self.late: list[Late] = []
        """Each thread that has used the database in a later test than its own."""
        self._test = ""
        self._here = threading.current_thread()
        """The one that runs the tests."""
        self._older: frozenset[threading.Thread] = frozenset()
        """Those that were there before the running test."""
        self._at_work: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        """Those of the running test that have used the database in it."""
        self._tests: weakref.WeakKeyDictionary[threading.Thread, str] = weakref.WeakKeyDictionary()
        """The tests of those that have outlived theirs."""
        self._told: set[tuple[str, str, str]] = set()
        self._lock = threading.Lock()

    def begin(self, test: str) -> None:
        """From now on, threads that are new are those of *test*."""
        self._test, self._here = test, threading.current_thread()
        self._older = frozenset(threading.enumerate())

    def are_known(self) -> None:
        """Take those that are there for older than the test: a wider fixture has started them."""
        self._older = frozenset(threading.enumerate())

    def is_older(self, thread: threading.Thread) -> bool:
        """Whether *thread* was there before the running test, and does not run it."""
        return thread in self._older and thread is not self._here

    def uses(self, thread: threading.Thread, running: str) -> None:
        """Notice that *thread*, the present one, is about to use the database."""
        if thread is self._here:
            return
        if thread in self._older:
            test = self._tests.get(thread)
            if test is not None and test != running and len(self.late) < _MOST:
                self._tell(test, running)
            return
        with self._lock:
            self._at_work.add(thread)

    def _tell(self, test: str, running: str) -> None:
        label = f"a thread at {call_sites.place()}"
        with self._lock:
            if (label, test, running) not in self._told:
                self._told.add((label, test, running))
                self.late.append(Late(label, test, running, was_refused=False))

    def end(self) -> AbstractSet[threading.Thread]:
        """Return which threads of the running test go on that have used the database in it."""
        with self._lock:
            at_work = {each for each in self._at_work if each.is_alive()}
            self._at_work.clear()
        threads = at_work.union(threading.enumerate()).difference(self._older - at_work)
        threads.discard(threading.current_thread())
        frames = sys._current_frames() if threads else {}
        going_on = {
            each
            for each in threads
            if (frame := frames.get(each.ident or 0)) is not None and not _waits_for_work(frame)
        }
        self._tests.update(dict.fromkeys(going_on, self._test))
        return at_work & going_on


def _waits_for_work(frame: FrameType | None) -> bool:
    return not _WAITING.isdisjoint(_innermost(frame))


def _innermost(frame: FrameType | None) -> Iterable[tuple[str, str]]:
    """Yield the functions that a thread is in, as long as they are a library's."""
    while frame is not None and call_sites.is_installed(frame.f_code.co_filename):
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_name
        frame = frame.f_back
