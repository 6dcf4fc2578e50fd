"""The parent of an embedded server's postmaster: stops it when nobody uses it any more.

Run as a program, by path, in a Python without site-packages: ``python -I -S watchdog.py``. It
imports the standard library only, and pgsandbox never. Its order comes as JSON on standard input,
so that it can come up while the data directory is still being made; an end of input without an
order means that the process that wanted the server is gone.

Everything it decides hangs on locks that the kernel frees (`pgsandbox.servers.file_locks`):

- ``users``: each process that uses the server holds it shared. The watchdog waits for it
  exclusively; having it means that nobody is left, and whoever comes later is refused it.
- ``watchdog``: held by this process from its first moment, inherited from its starter.
- ``server``: inherited in the same way, and handed on to the postmaster and all its children.

PostgreSQL is stopped in immediate mode: there is nothing to save.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

Prctl = Callable[[int, int], object]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_IPC_RMID = 0
_LIMIT_OF_STOPPING = 10
_LIMIT_OF_INITDB = 120
_LONGEST_NOTE = 4096
_SIGNALS = frozenset({signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD})


def main() -> NoReturn:
    """Become a daemon, run the server that the order describes, clear its folder, end."""
    if os.fork():
        os._exit(0)  # the starter is spared a child that it would have to wait for
    folder, watchdog_fd, server_fd = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    # Undo what a starter may have passed on: blocked signals, children that nobody waits for.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.umask(0o077)
    os.set_inheritable(watchdog_fd, False)
    os.set_inheritable(server_fd, False)
    os.ftruncate(watchdog_fd, 0)
    os.pwrite(watchdog_fd, str(os.getpid()).encode(), 0)
    prctl = _prctl()
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    order = sys.stdin.read()
    limit = _LIMIT_OF_INITDB
    if order.endswith("\n"):  # and was not cut short
        _run(json.loads(order), folder, server_fd, prctl)
        limit = _LIMIT_OF_STOPPING  # initdb had ended before the order came
    os.close(server_fd)
    _wait_for_the_last(folder, limit)
    _clear(folder)
    os._exit(0)


def remove_if_vacant(folder: Path) -> None:
    """Remove the private *folder*, whose lock the caller holds, if no server's folder is in it."""
    with contextlib.suppress(OSError):
        if [entry.name for entry in folder.iterdir()] == ["lock"]:
            (folder / "lock").unlink()
            folder.rmdir()


def remove_segment(run: Path) -> None:
    """Remove the shared memory that a killed postmaster left: the kernel keeps it until reboot.

    PostgreSQL holds a few bytes of System V shared memory beside its real one and notes key and id
    in line 7 of postmaster.pid (``LOCK_FILE_LINE_SHMEM_KEY`` in miscadmin.h). The file is the
    server account's to write, so that only a segment of that account which nobody has attached is
    removed. Linux only; elsewhere nothing happens.
    """
    with contextlib.suppress(OSError, ValueError, IndexError, ImportError, AttributeError):
        segment = noted(run)[6].split()
        account = run.stat().st_uid
        for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            # key shmid perms size cpid lpid nattch uid ... (proc_sysvipc_shm(5))
            columns = line.split()
            key, identifier, attached, uid = (int(columns[number]) for number in (0, 1, 6, 7))
            if [str(key % 2**32), str(identifier)] == segment and (attached, uid) == (0, account):
                import ctypes

                ctypes.CDLL(None).shmctl(identifier, _IPC_RMID, None)


def noted(run: Path) -> list[str]:
    """The lines of postmaster.pid in the data directory below *run*; none if it can't be had.

    Both folders are the server account's to write, and we may be root: no link is followed, a pipe
    is not waited for, and what belongs to anybody else is not read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    opened: list[int] = []
    try:
        opened.append(os.open(run, flags | os.O_DIRECTORY))
        opened.append(os.open("data", flags | os.O_DIRECTORY, dir_fd=opened[0]))
        opened.append(os.open("postmaster.pid", flags, dir_fd=opened[1]))
        statuses = [os.fstat(fd) for fd in opened]
        is_the_servers = len({status.st_uid for status in statuses}) == 1
        if not is_the_servers or not stat.S_ISREG(statuses[-1].st_mode):
            return []
        return os.read(opened[-1], _LONGEST_NOTE).decode(errors="replace").splitlines()
    except OSError:
        return []
    finally:
        for fd in opened:
            os.close(fd)


def _run(order: dict[str, Any], folder: Path, server_fd: int, prctl: Prctl) -> None:
    """Run the server until it ends by itself, nobody uses it, or a signal asks for its end."""
    # Taken by sigwait, all of them: a handler in Python would not run if its signal came after the
    # interpreter's last look and before the system call that waits for the postmaster.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    postmaster = _start(order, server_fd, prctl)
    unused = threading.Event()
    threading.Thread(target=_wait_until_unused, args=(folder, unused), daemon=True).start()
    exit_code = _wait_for(postmaster)
    _end_orphans()
    was_ready = (folder / "ready").exists()
    (folder / "ended").write_text(str(exit_code))
    if not was_ready:
        unused.wait()  # its starter wants to read the log


def _wait_for(postmaster: int) -> int:
    """Stop the postmaster when SIGTERM asks for it, and return its exit code when it has ended."""
    while True:
        number = signal.sigwait(_SIGNALS)
        if number == signal.SIGCHLD:
            ended, status = os.waitpid(postmaster, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
        elif number == signal.SIGTERM:
            os.kill(postmaster, signal.SIGQUIT)
            signal.alarm(_LIMIT_OF_STOPPING)
        else:
            os.kill(postmaster, signal.SIGKILL)


def _start(order: dict[str, Any], server_fd: int, prctl: Prctl) -> int:
    """Start the postmaster and return its process id."""
    watchdog = os.getpid()
    postmaster = os.fork()
    if postmaster:
        return postmaster
    try:
        if order["uid"] is not None:
            os.setgroups([])
            os.setgid(order["gid"])
            os.setuid(order["uid"])
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        # After setuid, which would clear it (prctl(2)). SIGQUIT is the immediate shutdown.
        prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
        if os.getppid() != watchdog:
            os._exit(1)
        os.set_inheritable(server_fd, True)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores
        command: list[str] = order["command"]
        os.execve(command[0], command, order["environment"])  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"{order['command'][0]}: {error}\n".encode())
    finally:
        os._exit(1)


def _wait_until_unused(folder: Path, unused: threading.Event) -> None:
    fd = os.open(folder / "users", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    # From here on nobody can join. Who waits for the end sees it coming.
    (folder / "ready").unlink(missing_ok=True)
    unused.set()
    os.kill(os.getpid(), signal.SIGTERM)


def _end_orphans() -> None:
    """End the children of a postmaster that was killed; on Linux they are ours now."""
    deadline = time.monotonic() + _LIMIT_OF_STOPPING
    while time.monotonic() < deadline:
        for children in Path("/proc/self/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for child in children.read_text().split():
                    os.kill(int(child), signal.SIGKILL)
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.005)


def _wait_for_the_last(folder: Path, seconds: float) -> None:
    """Wait for what still holds the server's lock: the initdb of a starter that was killed."""
    # On a busy machine it takes long, and what it writes after the folder went would stay.
    deadline = time.monotonic() + seconds
    fd = os.open(folder / "server", os.O_RDWR)
    while time.monotonic() < deadline:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            break
    os.close(fd)


def _clear(folder: Path) -> None:
    """Remove the server's folder, and the one above if this was the last server in it."""
    remove_segment(folder / "run")
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        fd = os.open(folder.parent / "lock", os.O_RDWR)
        # Whoever holds it now removes the folder in turn.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_if_vacant(folder.parent)


def _prctl() -> Prctl:
    """prctl(2) on Linux; elsewhere, or in a Python without ctypes, a function that does nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import ctypes

            prctl: Prctl = ctypes.CDLL(None).prctl
            return prctl
    return lambda _option, _value: None


if __name__ == "__main__":
    main()
