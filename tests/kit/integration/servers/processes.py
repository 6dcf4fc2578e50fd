"""Processes that use an embedded server, and what can be seen of the server from outside."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg2
from sqlalchemy.engine import URL, make_url

import pgsandbox
from pgsandbox.servers import embedded, libpq

# Children of a process that has imported everything already start in no time.
_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["__main__", __name__])

_SOURCE = str(Path(pgsandbox.__file__).parents[1])
_PROGRAM = """
import json, sys, time
from pathlib import Path
from pgsandbox.servers import embedded

asked = Path(sys.argv[1]) if sys.argv[1] else None
began = time.perf_counter()
server = embedded(reason="a test", cache=asked)
took = time.perf_counter() - began
print(json.dumps({"url": str(server.url), "took": took}), flush=True)
sys.stdin.readline()
"""


def until(claim: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether *claim* comes true within *seconds*."""
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


_IS_EXITING = 0x4
"""Linux's PF_EXITING. A process lets go of its locks a moment before it is a zombie."""


def is_running(pid: int) -> bool:
    """Whether a process of that id exists, and does more than end or wait to be reaped."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    state, _, _, _, _, _, flags = status.rpartition(")")[2].split()[:7]
    return state not in "ZX" and not int(flags) & _IS_EXITING


class Seen:
    """An embedded server as others see it: its folder and its processes."""

    def __init__(self, url: URL) -> None:
        """Look at the server at *url*, which runs."""
        self.url = url
        self.run = Path(str(url.query["host"]))
        self.folder = self.run.parent
        self.key = self.folder.name.split("-")[0]
        self.watchdog = int((self.folder / "watchdog").read_text())
        self.postmaster = int((self.run / "data/postmaster.pid").read_text().splitlines()[0])

    def answers(self) -> bool:
        """Whether one can log in."""
        try:
            libpq.connect(self.url).close()
        except psycopg2.OperationalError:
            return False
        return True

    def is_computing(self, backend: int) -> bool:
        """Whether the session of that process id is in the middle of a statement."""
        statement = "SELECT state = 'active' FROM pg_stat_activity WHERE pid = %s"
        with closing(libpq.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, [backend])
            return cursor.fetchall() == [(True,)]

    def folders(self) -> list[Path]:
        """The folders of all servers that were started for the same cache and programs."""
        return sorted(self.folder.parent.glob(f"{self.key}-*"))

    def is_gone(self) -> bool:
        """Whether neither a process nor a file of it is left."""
        alive = is_running(self.watchdog) or is_running(self.postmaster)
        return not (alive or self.folder.exists())


class User:
    """A process that uses an embedded server until it is told to end."""

    def __init__(self, cache: Path) -> None:
        """Start the process; it asks for a server at once."""
        self._ours, theirs = _FORKSERVER.Pipe()
        self.process = _FORKSERVER.Process(target=_use, args=(cache, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.took = 0.0

    def server(self) -> Seen:
        """The server that the process got."""
        url, self.took = self._ours.recv()
        return Seen(make_url(url))

    def leave(self) -> None:
        """Let it give its use up and end, and wait for that."""
        self._ours.send("leave")
        self.process.join(30)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        self.process.kill()
        self.process.join()

    def close(self) -> None:
        """End it in any case."""
        self.kill()
        self._ours.close()


class Program:
    """A Python program that uses an embedded server, in an environment of its own."""

    def __init__(
        self,
        cache: Path | None,
        *,
        command: Sequence[str] = (sys.executable,),
        environment: Mapping[str, str] = os.environ,
        account: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Start *command* with *account* as arguments of Popen; it asks for a server at once."""
        self.process = subprocess.Popen(
            [*command, "-c", _PROGRAM, str(cache or "")],
            **account,
            env={"PYTHONPATH": _SOURCE, **environment},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.took = 0.0

    def server(self) -> Seen:
        """The server that the process got. Raises AssertionError with its complaint if none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.complaint()
        said: dict[str, Any] = json.loads(line)
        self.took = said["took"]
        return Seen(make_url(said["url"]))

    def complaint(self) -> str:
        """What it said when it ended without a server."""
        assert self.process.stderr is not None
        return str(self.process.stderr.read())

    def leave(self) -> None:
        """Let it end by itself, and wait for that."""
        self.process.communicate("\n", timeout=30)

    def close(self) -> None:
        """End it in any case."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class Users:
    """Starts users of one cache, and ends those that a test left running."""

    def __init__(self, cache: Path) -> None:
        """Let all users have the cache folder *cache*."""
        self.cache = cache
        self._users: list[User | Program] = []

    def start(self) -> User:
        """One more user."""
        user = User(self.cache)
        self._users.append(user)
        return user

    def run(self, **options: Any) -> Program:
        """One more user that is a program of its own, with *options* of `Program`."""
        program = Program(**({"cache": self.cache} | options))
        self._users.append(program)
        return program

    def end(self) -> None:
        """End all that still run."""
        for user in self._users:
            user.close()


def _use(cache: Path, line: Connection) -> None:
    began = time.perf_counter()
    server = embedded(reason="a test", cache=cache)
    line.send((str(server.url), time.perf_counter() - began))
    line.recv()
    server.release()


def owner(pid: int) -> int:
    """The user id that a process runs under."""
    return Path(f"/proc/{pid}").stat().st_uid


def kill(pid: int) -> None:
    """Send SIGKILL."""
    os.kill(pid, signal.SIGKILL)
