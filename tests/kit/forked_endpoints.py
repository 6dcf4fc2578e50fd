"""Endpoints that are forks of the run that starts them, which has made their imports.

An interpreter of its own takes 80 ms of one processor, which is a fifth of a run. `forks` lets its
runs start them so; the tests of the endpoint itself, and ``nox -s nightly``, start real ones.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import posix
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import IO, Any

import coverage

from pgsandbox.sandbox import endpoint_process
from pgsandbox.sandbox.endpoint.__main__ import main

_start = endpoint_process.start
_SOCKET = socket.socket
_POLL = 0.002


class ForkedEndpoint:
    """As much of a `subprocess.Popen` as `EndpointProcess` uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, and None while it lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(["endpoint"], timeout or 0)
            time.sleep(_POLL)
        return code

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)


def start(control: socket.socket, folder: Path, said: IO[bytes]) -> Any:
    """Fork the endpoint, unless coverage is to look at it or this process has become special."""
    is_ordinary = _count_threads() == 1 and socket.socket is _SOCKET
    if not is_ordinary or coverage.Coverage.current() is not None:
        return _start(control, folder, said)
    test_process, pid = os.getpid(), os.fork()
    if pid:
        return ForkedEndpoint(pid)
    try:
        _become_endpoint(control, said)
        main([str(control.fileno()), str(folder), str(test_process)])
        posix._exit(0)  # past what the run does at its exit
    except BaseException:  # noqa: BLE001 - nothing of the run may go on here
        traceback.print_exc()
        sys.stderr.flush()
        posix._exit(1)


def _count_threads() -> int:
    """Count those of execnet, too, of which the module threading does not know."""
    tasks = Path("/proc/self/task")
    return len([*tasks.iterdir()]) if tasks.is_dir() else threading.active_count()


def _become_endpoint(control: socket.socket, said: IO[bytes]) -> None:
    gc.freeze()  # a connection of the run that was collected here would say good-bye to its server
    os.setsid()
    os.chdir("/")
    faulthandler.disable()
    warnings.resetwarnings()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, ours in ((nothing, 0), (said.fileno(), 1), (said.fileno(), 2)):
        os.dup2(descriptor, ours)
    os.closerange(3, control.fileno())
    os.closerange(control.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
