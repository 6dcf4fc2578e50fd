"""Event loops: one of our own that any thread may run, and what a closed one leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class OwnLoop:
    """An event loop that stands still unless somebody waits for one of its coroutines.

    Whichever thread waits runs it. Where that thread already runs a loop, which Python allows only
    one of, a second thread runs it meanwhile.
    """

    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self._lock = threading.RLock()
        self._task: asyncio.Task[Any] | None = None
        self._thread: ThreadPoolExecutor | None = None

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the coroutine that *make* returns does.

        Raises:
            asyncio.CancelledError: `cancel` was called.
        """
        __tracebackhide__ = True
        with self._lock:
            if not is_running_here():
                return self._run(make)
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "pgsandbox loop")
            context = contextvars.copy_context()
            return self._thread.submit(context.run, self._run, make).result()

    def cancel(self) -> None:
        """Cancel the coroutine that runs now; safe from any thread."""
        task = self._task
        if task is not None and not self.loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(task.cancel)

    def is_inside(self) -> bool:
        """Whether the caller is a coroutine of this loop."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def close(self) -> None:
        """Close it for good."""
        with self._lock:
            if self._thread is not None:
                self._thread.shutdown()
            if not self.loop.is_closed():
                if not is_running_here():
                    self.loop.run_until_complete(self.loop.shutdown_default_executor())
                self.loop.close()

    def _run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        __tracebackhide__ = True
        self._task = self.loop.create_task(make())
        try:
            return self.loop.run_until_complete(self._task)  # type: ignore[no-any-return]
        except BaseException:
            if not self._task.done():  # the thread was interrupted, not the coroutine
                self._task.cancel()
                with contextlib.suppress(BaseException):
                    self.loop.run_until_complete(self._task)
            raise
        finally:
            self._task = None


def is_running_here() -> bool:
    """Whether this thread is inside of a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
