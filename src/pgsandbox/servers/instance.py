"""One running embedded server, from the first process that wants it to the last that used it.

Everything of an instance is one folder below the private folder: three lock files, the log, and
``run``, which belongs to the server's account and holds socket and data. Nothing but the locks says
whether it is alive (`pgsandbox.servers.watchdog`). The caller of every function here that joins,
launches or clears holds the private folder's lock.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from pgsandbox.errors import Fact, ServerDidNotStart
from pgsandbox.servers import data_directory, file_locks, libpq, probing, watchdog
from pgsandbox.servers.account import Account
from pgsandbox.servers.file_locks import Lock
from pgsandbox.servers.standstill import Standstill

_LIMIT_OF_ENDING = 1.0
_LIMIT_OF_AN_ORPHAN = 3.0
# Each makes work for the server, by which a wait goes on (`standstill`).
_BETWEEN_SESSIONS = 0.05
# A watchdog that can stop its server does so within this time.
_LIMIT_OF_NOTICING = 0.02


@dataclass(frozen=True)
class Instance:
    """The folder of one embedded server."""

    folder: Path
    """``<private folder>/<key>-<serial>``."""
    port: int = 5432
    """The port that names the socket. Nothing listens on it unless asked."""

    @property
    def users(self) -> Path:
        """Held shared by each process that uses the server."""
        return self.folder / "users"

    @property
    def watchdog(self) -> Path:
        """Held by the watchdog; it contains its process id."""
        return self.folder / "watchdog"

    @property
    def server(self) -> Path:
        """Held by the watchdog, the postmaster and all its children."""
        return self.folder / "server"

    @property
    def ready(self) -> Path:
        """There from when the server first answered until it is being stopped."""
        return self.folder / "ready"

    @property
    def ended(self) -> Path:
        """There when the postmaster has ended."""
        return self.folder / "ended"

    @property
    def log(self) -> Path:
        """What PostgreSQL and the watchdog have to say."""
        return self.folder / "log"

    @property
    def run(self) -> Path:
        """The folder of the server's account: socket and data."""
        return self.folder / "run"

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.run / "data"

    @property
    def url(self) -> URL:
        """The maintenance database, through the socket."""
        # As options, because a host with slashes does not survive being written as text.
        query = {"host": str(self.run), "port": str(self.port)}
        return URL.create(
            libpq.DRIVER, username=data_directory.SUPERUSER, database="postgres", query=query
        )


_KEEPER = """
import fcntl, os, sys, time
users = open(sys.argv[1])
fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
pid = os.fork()
if pid:
    print(pid, flush=True)
    os._exit(0)
os.setsid()
nowhere = os.open(os.devnull, os.O_RDWR)
for standard in (0, 1, 2):
    os.dup2(nowhere, standard)
newest, until = sys.argv[1] + ".lingers", float(sys.argv[2]) + time.monotonic()
if sys.argv[2] != "inf":
    with open(newest, "w") as file:
        file.write(str(os.getpid()))
while os.path.exists(sys.argv[1]) and time.monotonic() < until:
    time.sleep(1)
    if sys.argv[2] != "inf" and open(newest).read() not in ("", str(os.getpid())):
        break
"""
"""A program that uses the instance whose ``users`` file it is given, and prints its pid.

Without an end in seconds it does so until it is killed; with one, until a newer one like it comes.
"""


class Hold:
    """The use of an instance by this process: while it lasts, the server runs."""

    def __init__(self, instance: Instance) -> None:
        """Use *instance*. Raises BlockingIOError if it is being stopped, OSError if it is gone."""
        self.instance = instance
        self._watchdog = Lock(instance.watchdog)
        self._users = Lock(instance.users)
        if not self._users.take(shared=True):
            self._close()
            raise BlockingIOError(f"{instance.folder} is being stopped")
        atexit.register(self.end)

    def keep(self, seconds: float = float("inf")) -> int:
        """Let a process of its own use the instance until it is killed, and return its pid.

        It ends by itself when the instance is gone, or after *seconds*; of those with an end, the
        newest replaces the others.
        """
        users = str(self.instance.users)
        command = [sys.executable, "-I", "-S", "-c", _KEEPER, users, str(seconds)]
        said = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=10
        )
        return int(said.stdout)

    def end(self) -> None:
        """Give the use up; if it was the last, wait until the watchdog has cleared up."""
        if self._users.fd < 0:  # ended before, or in a child of the process that held it
            return
        atexit.unregister(self.end)
        # Exclusive only if nobody else holds it; not even shared if the watchdog holds it already.
        is_last = self._users.take() or not self._users.take(shared=True)
        self._users.close()
        began = time.monotonic()
        while not self._watchdog.take(shared=True):
            waited = time.monotonic() - began
            if not is_last and waited > _LIMIT_OF_NOTICING and self.instance.ready.exists():
                break
            if waited > _LIMIT_OF_ENDING:
                break
            time.sleep(0.002)
        self._close()

    def _close(self) -> None:
        self._users.close()
        self._watchdog.close()


def join(private: Path, key: str) -> Hold | None:
    """Use a running instance made for *key*, or return None if there is none."""
    for instance in _instances(private, f"{key}-*"):
        with contextlib.suppress(OSError):
            hold = Hold(instance)
            if (
                instance.ready.exists()
                and file_locks.is_held(instance.watchdog)
                and _answers(instance)
            ):
                return hold
            hold.end()
    return None


def launch(
    private: Path,
    key: str,
    account: Account,
    lay_data: Callable[[Instance, int], Path],
    *,
    port: int = 5432,
    arguments: Sequence[str] = (),
) -> Hold:
    """Start an instance for *key* and use it.

    *lay_data* gets the instance and a file descriptor for its child processes to inherit, makes the
    data directory and returns the folder of programs; *arguments* go to ``postgres``. Raises
    ServerDidNotStart, or what *lay_data* raises; then nothing of the instance is left.
    """
    instance = Instance(private / f"{key}-{secrets.token_hex(3)}", port)
    instance.folder.mkdir()
    try:
        instance.folder.chmod(0o711 if account.is_other else 0o700)
        for lock in (instance.users, instance.watchdog, instance.server):
            lock.touch(mode=0o600)
        hold = Hold(instance)
    except BaseException:
        shutil.rmtree(instance.folder, ignore_errors=True)
        raise
    try:
        _start(instance, account, lay_data, arguments)
        _wait_until_ready(instance)
    except BaseException:
        hold.end()
        shutil.rmtree(instance.folder, ignore_errors=True)
        raise
    return hold


def clear_dead(private: Path) -> None:
    """Remove the instances that died without being able to clear up, whatever their key."""
    for instance in _instances(private, "*-*"):
        if file_locks.is_held(instance.watchdog):
            continue
        # A postmaster without its watchdog stops by itself on Linux; elsewhere it must be told.
        deadline = time.monotonic() + _LIMIT_OF_AN_ORPHAN
        while file_locks.is_held(instance.server) and time.monotonic() < deadline:
            _end_orphan(instance)
            time.sleep(0.02)
        if not file_locks.is_held(instance.server):
            watchdog.remove_segment(instance.run)
            shutil.rmtree(instance.folder, ignore_errors=True)


def _instances(private: Path, pattern: str) -> Iterator[Instance]:
    for folder in sorted(private.glob(pattern)):
        if folder.is_dir() and not folder.is_symlink():
            yield Instance(folder)


def _end_orphan(instance: Instance) -> None:
    """Stop the postmaster whose lock is still held, if its pid file and its owner say who it is."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(watchdog.noted(instance.run)[0])
        process = Path("/proc", str(pid))
        # The file is the server account's to write, and we may be root.
        owner = process.stat().st_uid if process.parent.is_dir() else None
        if pid > 1 and owner in (None, instance.run.stat().st_uid):
            os.kill(pid, signal.SIGQUIT)


def _answers(instance: Instance) -> bool:
    """Whether the server takes sessions; asked without libpq, which the environment may mislead."""
    answer = probing.ask(
        str(instance.run),
        instance.port,
        role=data_directory.SUPERUSER,
        database="postgres",
        seconds=2,
    )
    return answer.who == "postgresql" and answer.sqlstate != probing.STARTING


def _start(
    instance: Instance,
    account: Account,
    lay_data: Callable[[Instance, int], Path],
    arguments: Sequence[str],
) -> None:
    """Start the watchdog, make the data meanwhile, and order the watchdog to start the server."""
    with contextlib.ExitStack() as stack:
        guards = [Lock(instance.watchdog), Lock(instance.server)]
        for lock in guards:
            stack.callback(lock.close)
            lock.take()
        descriptors = [lock.fd for lock in guards]
        log = stack.enter_context(instance.log.open("wb"))
        process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                watchdog.__file__,
                instance.folder,
                *map(str, descriptors),
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            pass_fds=descriptors,
        )
        try:
            instance.run.mkdir(mode=0o700)
            if account.is_other:
                os.chown(instance.run, account.uid, account.gid)
            programs = lay_data(instance, guards[1].fd)
            order = _order(instance, account, programs, arguments)
            process.communicate(json.dumps(order).encode() + b"\n")
        finally:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()


def _order(
    instance: Instance, account: Account, programs: Path, arguments: Sequence[str]
) -> dict[str, object]:
    command = [str(programs / "postgres"), "-D", str(instance.data)]
    command += ["-k", f'"{instance.run}"', "-p", str(instance.port), *arguments]
    return {
        "command": command,
        "environment": data_directory.environment(),
        "uid": account.uid if account.is_other else None,
        "gid": account.gid if account.is_other else None,
    }


def _wait_until_ready(instance: Instance) -> None:
    """Return when the server answers. Raises ServerDidNotStart, with its log, if it does not."""
    wait = Standstill()
    while not ((is_up := _says_ready(instance)) and _answers(instance)):
        ended = instance.ended.exists() or not file_locks.is_held(instance.watchdog)
        if ended or wait.has_come(_pid_of_the_watchdog(instance)):
            said = instance.log.read_text(errors="replace").strip().splitlines()[-12:]
            how = "ended" if ended else f"was not ready after {wait.waited:.0f} s"
            raise ServerDidNotStart(
                f"The embedded server was started and {how}.",
                facts=[
                    Fact("folder", str(instance.folder)),
                    Fact("server said", "\n".join(said) or "nothing"),
                ],
                remedy="If its own words do not tell what to do, give a server's URL instead.",
            )
        time.sleep(_BETWEEN_SESSIONS if is_up else 0.002)
    instance.ready.touch()


def _pid_of_the_watchdog(instance: Instance) -> int | None:
    try:
        return int(instance.watchdog.read_text())
    except (OSError, ValueError):
        return None


def _says_ready(instance: Instance) -> bool:
    """Whether the postmaster's status line says ready: cheaper to ask often than a connection."""
    lines = watchdog.noted(instance.run)
    # LOCK_FILE_LINE_PM_STATUS in PostgreSQL's miscadmin.h.
    return [line.strip() for line in lines[7:8]] == ["ready"]
