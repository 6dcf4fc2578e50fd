"""The endpoint as the test process sees it: a process that it starts, tells things and asks.

It is a process of its own for what that spares the tests: the interpreter lock of a busy thread,
code under test that patches sockets, clocks or threads, debuggers, and forks.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from pgsandbox import errors
from pgsandbox.errors import Fact, PgSandboxError, SandboxLost

PORT = 5432
"""The number in the name of the endpoint's Unix socket."""

LIMIT = 15.0
"""Seconds that the end of a test may wait for the server's answers, all together."""

_ANSWER = 15.0
"""Seconds after which an endpoint that says nothing is taken for dead."""
_QUESTION = 3.0
"""Seconds after which one that has something to do is asked whether it lives."""
_CHUNK = 65536
_NOBODYS = 0
"""The number of a question whose answer nobody waits for."""
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from pgsandbox.sandbox.endpoint.__main__ import main; main(sys.argv[1:])"
)
_PACKAGES = str(Path(errors.__file__).parents[1])
_LONGEST_PATH = 103 if sys.platform == "darwin" else 107


class EndpointProcess:
    """One endpoint, which ends with the process that has started it."""

    def __init__(self) -> None:
        self.folder = _new_folder()
        """Where its Unix socket is."""
        ours, theirs = socket.socketpair()
        self._control = ours
        self._control.settimeout(_QUESTION)
        self._inbox = bytearray()
        """What it has said and nobody has read."""
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._lost: SandboxLost | None = None
        """What became of it, once that has turned out; it is not waited for again."""
        self._pid = os.getpid()
        self._said = tempfile.TemporaryFile(prefix="pgsandbox-")  # noqa: SIM115 - until `close`
        with theirs:
            self._process = start(theirs, self.folder, self._said)
        _close_in_forks(ours)

    @property
    def is_ours(self) -> bool:
        """Whether this process has started it, and is no fork of that."""
        return os.getpid() == self._pid

    def call(self, method: str, **arguments: Any) -> Any:
        """Return what the endpoint's *method* returns.

        Raises:
            PgSandboxError: it has raised one.
            SandboxLost: it is gone.
        """
        with self._lock:
            if self._lost is not None:
                raise self._lost.with_traceback(None)
            number = next(self._numbers)
            try:
                self._send(number, method, arguments)
                answer = self._receive(number)
            except OSError as error:
                self._lost = self._gone(error)
                raise self._lost from error
        if "error" in answer:
            raise error_from(answer["error"])
        if "failure" in answer:
            raise EndpointFailure(answer["failure"])
        return answer["result"]

    def tell(self, method: str, **arguments: Any) -> None:
        """Call the endpoint's *method*, and don't wait for its end."""
        if not self.is_ours or self._lost is not None:
            return
        with self._lock, contextlib.suppress(OSError):
            self._send(None, method, arguments)

    def _send(self, number: int | None, method: str, arguments: Mapping[str, Any]) -> None:
        body = json.dumps([number, method, arguments]).encode()
        self._control.sendall(struct.pack("!I", len(body)) + body)

    def _receive(self, number: int) -> dict[str, Any]:
        while True:
            (length,) = struct.unpack("!I", self._exactly(4))
            got, answer = json.loads(self._exactly(length))
            if got == number:
                return answer  # type: ignore[no-any-return]

    def _exactly(self, count: int) -> bytes:
        while len(self._inbox) < count:
            part = self._heard()
            if not part:
                raise ConnectionError("the endpoint is gone")
            self._inbox += part
        received = bytes(self._inbox[:count])
        del self._inbox[:count]
        return received

    def _heard(self) -> bytes:
        """Return what it says next; while the server works for it, it says that it lives."""
        deadline = time.monotonic() + _ANSWER
        while True:
            try:
                return self._control.recv(_CHUNK)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise
            self._send(_NOBODYS, "live", {})

    def _gone(self, error: OSError) -> SandboxLost:
        if isinstance(error, TimeoutError):
            return SandboxLost(
                "The process that stands between the tests and PostgreSQL said nothing for "
                f"{_ANSWER:g} s, so it is ended.",
                facts=[Fact("waited for", f"an answer of the process {self._process.pid}")],
                remedy="That process, or the machine, stands still: look whether somebody has "
                "stopped it (SIGSTOP, a debugger, a container on hold).",
            )
        self._said.seek(0)
        said = self._said.read()[-2000:].decode("utf-8", "replace").strip()
        return SandboxLost(
            "The process that stands between the tests and PostgreSQL is gone.",
            facts=[Fact("it said", said or "nothing")],
            remedy="If nobody has ended it, this is a fault of pgsandbox: please report it.",
        )

    def let_go(self) -> None:
        """In a forked child: hold nothing of it, so that it ends with the parent."""
        self._control.close()

    def begin_to_close(self) -> None:
        """Let the process end, and its session with it, and don't wait for that."""
        if self.is_ours:
            self._control.close()

    def close(self) -> None:
        """End the process, and remove its folder."""
        if not self.is_ours:
            return
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5 if self._lost is None else 0)
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        self._said.close()
        _remove(self.folder)


def start(control: socket.socket, folder: Path, said: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the endpoint of this process, which is told by *control* and speaks to *said*."""
    command = [sys.executable, "-I", "-c", _START, _PACKAGES]
    return subprocess.Popen(
        [*command, str(control.fileno()), str(folder), str(os.getpid())],
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        cwd="/",
        start_new_session=True,  # an interrupt from the terminal is not for it
    )


def _close_in_forks(control: socket.socket) -> None:
    """Let no fork of this process keep the endpoint alive when this process is gone."""
    reference = weakref.ref(control)

    def close() -> None:
        if (found := reference()) is not None:
            found.close()

    os.register_at_fork(after_in_child=close)


class EndpointFailure(Exception):
    """The endpoint could not do what it was asked, for a reason outside of it."""


def error_from(said: Mapping[str, Any]) -> PgSandboxError:
    """Return the error that the endpoint has raised."""
    kind: type[PgSandboxError] = getattr(errors, said["class"])
    facts = [Fact(*each) for each in said["facts"]]
    return kind(said["headline"], facts=facts, remedy=said["remedy"])


# --------------------------------------------------------------------------------- folders


def _new_folder() -> Path:
    """Make a folder that only this account can look into; remove those of processes that died.

    The endpoint holds a lock on its folder for as long as it lives, however it dies (flock(2)).
    """
    parent = Path(tempfile.gettempdir(), f"pgsandbox-endpoints-{os.getuid()}")
    if len(str(parent)) > _LONGEST_PATH - 30:
        parent = Path("/tmp", parent.name)  # noqa: S108 - a socket's path is limited
    parent.mkdir(mode=0o700, exist_ok=True)
    about = parent.lstat()
    if about.st_uid != os.getuid() or about.st_mode & 0o077:
        return Path(tempfile.mkdtemp(prefix="pgsandbox-"))
    for folder in parent.iterdir():
        if not _is_alive(folder):
            _remove(folder)
    return Path(tempfile.mkdtemp(prefix="", dir=parent))


def _is_alive(folder: Path) -> bool:
    """Whether an endpoint lives in *folder*, or is about to."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return not _is_old(folder)


def _is_old(folder: Path) -> bool:
    """Whether *folder* has been there for a minute, and nobody has locked it."""
    with contextlib.suppress(OSError):
        return time.time() - folder.stat().st_mtime > 60
    return False


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for each in folder.iterdir():
            each.unlink()
        folder.rmdir()
