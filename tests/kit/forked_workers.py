"""pytest-xdist's workers within a run, as forks of a process that has made their imports.

An interpreter of its own takes nearly a second of one processor. A fork of the run would find there
what its controller has made, so a run that asks for pytest-xdist is forked before it begins, and
that process is forked for each worker.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import types
from pathlib import Path
from typing import Any

from execnet import gateway_io

from tests.kit import fork_requests

_BOOTSTRAP = ["-u", "-c", gateway_io.popen_bootstrapline]


def stand_by() -> tuple[str, dict[str, str]] | None:
    """Fork the process that is forked for workers.

    Return the directory and the environment in a worker, and None in the run itself.
    """
    ours, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        _let_execnet_ask(ours)
        return None
    ours.close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a worker ended
    while (asked := fork_requests.receive(theirs, 2)) is not None:
        (cwd, environ), files = asked
        if (pid := os.fork()) == 0:
            theirs.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor, standard in zip(files, (0, 1), strict=True):
                os.dup2(descriptor, standard)
                os.close(descriptor)
            return cwd, environ
        fork_requests.answer(theirs, pid)
        for each in files:
            os.close(each)
    os._exit(0)


def work() -> None:
    """Be the worker that execnet describes on standard input."""
    sys.stdin, sys.stdout = (os.fdopen(each, "rw"[each], closefd=False) for each in (0, 1))
    # Where multiprocessing would have a child import this program, there is none, as after -c.
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(eval(sys.stdin.readline()), main.__dict__)  # noqa: S102, S307 - its bootstrap


def _let_execnet_ask(forking: socket.socket) -> None:
    class ForkedWorkerIO(gateway_io.Popen2IOMaster):
        def __init__(self, args: list[str], execmodel: Any) -> None:
            if args != [sys.executable, *_BOOTSTRAP]:
                super().__init__(args, execmodel)
                return
            self.popen = worker = _Worker(forking)
            gateway_io.Popen2IO.__init__(self, worker.stdin, worker.stdout, execmodel)

    gateway_io.Popen2IOMaster = ForkedWorkerIO  # type: ignore[misc]


class _Worker:
    """As much of a `subprocess.Popen` as execnet uses."""

    def __init__(self, forking: socket.socket) -> None:
        (read, its_output), (its_input, write) = os.pipe(), os.pipe()
        fork_requests.send(forking, [str(Path.cwd()), dict(os.environ)], [its_input, its_output])
        os.close(its_input)
        os.close(its_output)
        self.pid = fork_requests.number(forking)
        self._ended = os.pidfd_open(self.pid)
        self.stdin, self.stdout = os.fdopen(write, "wb"), os.fdopen(read, "rb")

    def wait(self) -> int:
        """Wait for its end."""
        select.select([self._ended], [], [])
        return 0

    def kill(self) -> None:
        """End it."""
        signal.pidfd_send_signal(self._ended, signal.SIGKILL)
