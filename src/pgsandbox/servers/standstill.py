"""How long another process is waited for: as long as it is at work, and little longer.

A process that starts a server on a busy machine takes its time; one that is stopped (SIGSTOP, a
debugger, a container on hold) never ends. They are told apart by the processor time that it and its
children use, which the kernel counts (proc_pid_stat(5)). Where that can't be read, on macOS say,
only the shorter limit holds.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

IDLE = 12.0
"""Seconds without any work after which a process is given up."""
MOST = 60.0
"""Seconds after which one that works is given up."""


class Standstill:
    """The wait for one process, which begins now."""

    def __init__(self) -> None:
        self._began = self._moved = time.monotonic()
        self._work: object = None

    def has_come(self, pid: int | None) -> bool:
        """Whether the process *pid*, the one that is waited for now, is to be given up."""
        now = time.monotonic()
        work = (pid, None if pid is None else work_of(pid))
        if work != self._work:
            if self._work is not None:
                self._moved = now
            self._work = work
        return now - self._moved > IDLE or now - self._began > MOST

    @property
    def waited(self) -> float:
        """How many seconds it has been by now."""
        return time.monotonic() - self._began


def work_of(pid: int) -> int:
    """The processor time of *pid*, of its children that ended, and of those that run; in ticks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = [
            int(child)
            for listed in Path(f"/proc/{pid}/task").glob("*/children")
            for child in listed.read_text().split()
        ]
    except OSError:
        return 0
    # utime, stime, cutime and cstime are fields 14 to 17, of which the rest begins with the third.
    return sum(map(int, fields[11:15])) + sum(map(work_of, children))


def holder_of(fd: int) -> int | None:
    """The process that took the flock(2) on the open file *fd*, as far as the kernel tells."""
    status = os.fstat(fd)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        # 1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF (proc_locks(5))
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return None
    pids = [int(each[4]) for each in locks if each[1] == "FLOCK" and each[5] == device]
    return next((pid for pid in pids if pid > 0), None)


def described(pid: int | None) -> str:
    """What can be told of a process: its id, its command and whether it is stopped."""
    if pid is None:
        return "unknown to this system"
    try:
        command = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return f"pid {pid}"
    is_stopped = ", which is stopped" if state in "Tt" else ""
    return f"pid {pid}{is_stopped}: {command.strip()[:100]}"
