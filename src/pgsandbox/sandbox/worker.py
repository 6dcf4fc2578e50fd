"""A thread that runs the statements of tasks, one at a time, so that no event loop waits for one.

The sandbox is synchronous: it holds a lock and talks to one physical connection. An asynchronous
stand-in hands each of its statements to the worker of that connection and awaits the outcome. So
it does not matter which event loop the task runs on, how many there are, and whether the one in
which a connection was opened is still open; tasks queue up instead of entering a lock that belongs
to their common thread; and the end of a test, which pytest announces outside of any loop, finds the
physical connection in nobody's hands.

A task that is cancelled cancels its statement on the server and waits until the worker has put the
savepoints in order: that takes no help of the task's own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_PATIENCE = 10.0
"""How long, in seconds, a cancelled task waits for its statement to end."""
_INTERVAL = 0.05
"""How often, in seconds, it asks the server again: a request that comes too early is ignored."""

_here = threading.local()


class Worker:
    """One thread that runs what tasks submit, in the order in which they do."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._jobs: list[_Job[Any]] = []
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._is_sending = False
        self._holder: object = None
        self._is_stopped = False
        self._thread: threading.Thread | None = None

    async def run(self, call: Callable[[], T]) -> T:
        """Return what *call* returns, run in the thread; here, where no loop has to go on.

        Raises:
            asyncio.CancelledError: the task was cancelled; its statement was, too.
            RuntimeError: no loop of asyncio is running, but one of Trio, say.
        """
        __tracebackhide__ = True
        if getattr(_here, "is_blocking", False):
            return call()
        loop = asyncio.get_running_loop()
        finished = loop.create_future()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
                loop.call_soon_threadsafe(_set, finished)

        job = _Job(call, asyncio.current_task(loop), wake)
        self._submit(job)
        try:
            await finished
        except BaseException:
            self._give_up(job)
            raise
        return job.outcome()

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Mark the application's own statement: the only one that may be cancelled."""
        with self._sending:
            self._is_sending = True
        try:
            yield
        finally:
            with self._sending:
                self._is_sending = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let the jobs of other tasks wait while the present one copies rows."""
        task = None if getattr(_here, "is_blocking", False) else asyncio.current_task()
        with self._changed:
            self._holder = task
        try:
            yield
        finally:
            with self._changed:
                self._holder = None
                self._changed.notify_all()

    def stop(self) -> None:
        """Let the thread end once it has nothing to do."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _submit(self, job: _Job[Any]) -> None:
        with self._changed:
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="pgsandbox worker", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def _give_up(self, job: _Job[Any]) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                return
        for _ in range(int(_PATIENCE / _INTERVAL)):
            with self._sending:
                if self._is_sending and not job.is_done.is_set():
                    self._cancel()
            if job.is_done.wait(_INTERVAL):
                return

    def _work(self) -> None:
        _here.is_blocking = True
        while (job := self._next()) is not None:
            job.run()

    def _next(self) -> _Job[Any] | None:
        with self._changed:
            while True:
                for job in self._jobs:
                    if self._holder is None or job.task is self._holder:
                        self._jobs.remove(job)
                        return job
                if self._is_stopped and not self._jobs:
                    self._thread = None
                    return None
                self._changed.wait()


class _Job(Generic[T]):
    """One call that a task waits for."""

    def __init__(self, call: Callable[[], T], task: object, wake: Callable[[], None]) -> None:
        self.task = task
        self.is_done = threading.Event()
        self._call = call
        self._wake = wake
        self._thread = threading.current_thread()
        self._context = contextvars.copy_context()
        self._result: T
        self._error: BaseException | None = None

    def run(self) -> None:
        _here.on_behalf_of = self._thread
        try:
            self._result = self._context.run(self._call)
        except BaseException as error:  # noqa: BLE001  # it is the task's, which raises it
            self._error = error
        finally:
            _here.on_behalf_of = None
            self.is_done.set()
            self._wake()

    def outcome(self) -> T:
        __tracebackhide__ = True
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # or its traceback would keep this frame, and this frame the error
        return self._result


def caller() -> threading.Thread:
    """Return the thread whose code sends the present statement: its loop's, for a task."""
    return getattr(_here, "on_behalf_of", None) or threading.current_thread()


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what *coroutine* returns, run to its end here: it waits for nothing but workers."""
    __tracebackhide__ = True
    before = getattr(_here, "is_blocking", False)
    _here.is_blocking = True
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        _here.is_blocking = before
    coroutine.close()
    raise RuntimeError("an asynchronous driver waited for something outside of the sandbox")


def _set(finished: asyncio.Future[None]) -> None:
    if not finished.done():
        finished.set_result(None)
