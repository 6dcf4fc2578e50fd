"""SIGTERM ends a run as Ctrl-C does: with its clean-up, and with exit code 143.

CI systems and process managers send SIGTERM before SIGKILL, and Python's default is to die at once.
The next run would remove what that leaves; but where no next run comes, nobody would.

Nothing is done where somebody has a handler of their own, and in workers of pytest-xdist: their
controller ends them, and clears up after those that were killed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

import pytest

EXIT_CODE = 128 + signal.SIGTERM
"""What shells report for a process that SIGTERM ended, too."""
_PATIENCE = 5.0


class Termination:
    """A handler of SIGTERM, and a thread for when the main thread can't run it.

    Python runs handlers between two of its own instructions, which never come while the main thread
    waits in libpq for a statement. So the signal also wakes a thread, which cancels that statement,
    and ends the process the hard way if that does not help.

    Around a fork the default is back: Python forgets a signal that reaches a child before its first
    instruction, and whoever waits for the child to end would wait for ever.
    """

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self._pid = 0
        self._ends: tuple[int, int] | None = None
        self._has_begun = threading.Event()
        self._is_aside = False

    def install(self) -> None:
        """Wait for SIGTERM, if nobody else does; nothing outside of the main thread."""
        if not _is_main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        self._pid = os.getpid()
        signal.signal(signal.SIGTERM, self._stop)
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if before != -1:  # an event loop's, which may have better use for it
            signal.set_wakeup_fd(before)
            os.close(reading)
            os.close(writing)
            return
        self._ends = (reading, writing)
        os.register_at_fork(
            before=self._step_aside, after_in_parent=self._step_back, after_in_child=self._forget
        )
        threading.Thread(
            target=self._watch, args=(reading,), name="pgsandbox SIGTERM", daemon=True
        ).start()

    def remove(self) -> None:
        """Leave SIGTERM to its default again. Twice changes nothing."""
        if self._pid != os.getpid():
            return
        self._pid = 0
        with contextlib.suppress(ValueError):  # another thread than the main one
            if signal.getsignal(signal.SIGTERM) == self._stop:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if self._ends is not None:
                current = signal.set_wakeup_fd(-1)
                if current not in (-1, self._ends[1]):
                    signal.set_wakeup_fd(current)
        if self._ends is not None:
            os.close(self._ends[1])  # which ends the thread, and that closes the other end
            self._ends = None

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the second one means it
        if os.getpid() != self._pid:  # a child made by fork, which is asked to end itself
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self._has_begun.set()
        pytest.exit("SIGTERM", returncode=EXIT_CODE)

    def _watch(self, reading: int) -> None:
        try:
            while said := os.read(reading, 16):
                if signal.SIGTERM in said:
                    self._help()
        finally:
            os.close(reading)

    def _help(self) -> None:
        """Let the main thread come to its handler."""
        if self._has_begun.wait(0.2):
            return
        # To cancel takes a connection, and a server that is frozen lets a driver wait for that
        # without any limit; psycopg2 even keeps the interpreter's lock meanwhile, so that no thread
        # of Python's can help. This one is not Python's.
        faulthandler.dump_traceback_later(_PATIENCE + 1.0, exit=True, file=2)
        threading.Thread(target=self._try_to_cancel, daemon=True).start()
        has_begun = self._has_begun.wait(_PATIENCE)
        faulthandler.cancel_dump_traceback_later()
        if not has_begun and self._pid == os.getpid():
            os.kill(self._pid, signal.SIGKILL)  # as without us, and the next run clears up

    def _try_to_cancel(self) -> None:
        with contextlib.suppress(Exception):
            self._cancel()

    def _step_aside(self) -> None:
        self._is_aside = self._pid == os.getpid() and _is_main_thread()
        if self._is_aside and signal.getsignal(signal.SIGTERM) == self._stop:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        else:
            self._is_aside = False

    def _step_back(self) -> None:
        if self._is_aside:
            signal.signal(signal.SIGTERM, self._stop)

    def _forget(self) -> None:
        if self._ends is not None:
            with contextlib.suppress(ValueError):
                signal.set_wakeup_fd(-1)
            for end in self._ends:
                with contextlib.suppress(OSError):
                    os.close(end)
            self._ends = None


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
