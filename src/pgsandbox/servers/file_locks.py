"""Locks that the kernel frees when their holder dies, however it dies.

All of them are flock(2) on a file: they belong to an open file, so closing it is the release, and a
killed process closes everything. Two properties need care. A child made by fork shares its parent's
open files and would hold the locks on, so it closes them first thing. And a lock on a file that was
removed meanwhile protects nothing, so whoever waits for a removable file checks that it is still
the one at its path.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_held: set[Lock] = set()


class Lock:
    """An open lock file and the lock on it."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open *path* without locking it. Raises OSError; a symbolic link is refused."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        self.path = path
        self.fd = os.open(path, flags, 0o600)
        _held.add(self)

    def take(self, *, shared: bool = False) -> bool:
        """Lock the file now, or return False if another process holds a lock on it."""
        try:
            fcntl.flock(self.fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def take_within(self, seconds: float, *, shared: bool = False) -> bool:
        """Lock the file as soon as possible, or return False after *seconds*."""
        deadline = time.monotonic() + seconds
        while not self.take(shared=shared):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def is_current(self) -> bool:
        """Whether the file that is open is still the one at its path."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self.fd))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Free the lock, unless another process shares the open file. Twice changes nothing."""
        fd, self.fd = self.fd, -1
        _held.discard(self)
        if fd >= 0:
            os.close(fd)


def is_held(path: Path) -> bool:
    """Whether somebody holds the exclusive lock of *path*; False if there is no such file."""
    try:
        lock = Lock(path)
    except OSError:
        return False
    try:
        return not lock.take(shared=True)
    finally:
        lock.close()


def _close_in_child() -> None:
    # Closing frees nothing for the parent; LOCK_UN would, since both share the open file.
    for lock in list(_held):
        lock.close()


os.register_at_fork(after_in_child=_close_in_child)
