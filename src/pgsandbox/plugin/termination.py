"""SIGTERM ends a run as Ctrl-C does: with its clean-up, and with exit code 143.

CI systems and process managers send SIGTERM before SIGKILL, and Python's default is to die at once.
The next run would remove what that leaves; but where no next run comes, nobody would.

As after Ctrl-C, Python runs the handler once the main thread is back from a call into C: a query
that waits in libpq ends first. Nothing is done where somebody has a handler of their own, and in
workers of pytest-xdist: their controller ends them, and clears up after those that were killed.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

import pytest

EXIT_CODE = 128 + signal.SIGTERM
"""What shells report for a process that SIGTERM ended, too."""


class Termination:
    """A handler of SIGTERM that ends the run through pytest.

    Around a fork the default is back: Python forgets a signal that reaches a child before its first
    instruction, and a parent that waits for the child to end would wait for ever.
    """

    def __init__(self) -> None:
        self._pid = 0
        """The process whose run it ends; 0 where it is not installed."""

    def install(self) -> None:
        """Handle SIGTERM if nobody else does; nothing outside of the main thread."""
        if not _is_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        self._pid = os.getpid()
        signal.signal(signal.SIGTERM, self._end_run)
        os.register_at_fork(before=self._restore_default, after_in_parent=self._handle_again)

    def remove(self) -> None:
        """Leave SIGTERM to its default again. Twice changes nothing."""
        if self._pid == os.getpid():
            self._restore_default()
            self._pid = 0

    def _end_run(self, _number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the second one means it
        if os.getpid() != self._pid:  # a child that another thread than the main one forked
            os.kill(os.getpid(), signal.SIGTERM)
            return
        pytest.exit("SIGTERM", returncode=EXIT_CODE)

    def _restore_default(self) -> None:
        if _is_main_thread() and signal.getsignal(signal.SIGTERM) == self._end_run:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _handle_again(self) -> None:
        is_installed = self._pid == os.getpid() and _is_main_thread()
        if is_installed and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._end_run)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
