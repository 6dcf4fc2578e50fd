"""Which sockets are ready: by epoll(7) where there is one, and by poll(2) elsewhere."""

from __future__ import annotations

import math
import select
import socket
import struct
import sys
from typing import Protocol

IN = select.POLLIN | select.POLLHUP | select.POLLERR
"""Something can be read, or nothing ever will be. The numbers are those of epoll, too."""
OUT = select.POLLOUT
"""Something can be sent."""

# LOCAL_PEERPID at the level SOL_LOCAL, in macOS's <sys/un.h>.
_SOL_LOCAL, _LOCAL_PEERPID = 0, 2


class HasDescriptor(Protocol):
    """A socket, or what has one."""

    def fileno(self) -> int:
        """Return its descriptor."""


class Poller(Protocol):
    """What `select.epoll` has of what is used here."""

    def register(self, fd: int | HasDescriptor, eventmask: int) -> None:
        """Look at *fd*, too."""

    def modify(self, fd: int | HasDescriptor, eventmask: int) -> None:
        """Look at *fd* for something else; raises OSError where it is not looked at."""

    def unregister(self, fd: int | HasDescriptor) -> None:
        """Look at *fd* no more; raises OSError where it is not looked at."""

    def poll(self, timeout: float = -1) -> list[tuple[int, int]]:
        """Return what is ready within *timeout* seconds; with -1, wait for as long as it takes."""


class PlainPoller:
    """The same by poll(2), which takes longer with many clients and knows no order of arrival."""

    def __init__(self) -> None:
        self._poll = select.poll()

    def register(self, fd: int | HasDescriptor, eventmask: int) -> None:
        """Look at *fd*, too."""
        self._poll.register(fd, eventmask)

    def modify(self, fd: int | HasDescriptor, eventmask: int) -> None:
        """Look at *fd* for something else; raises OSError where it is not looked at."""
        self._poll.modify(fd, eventmask)

    def unregister(self, fd: int | HasDescriptor) -> None:
        """Look at *fd* no more; raises OSError where it is not looked at."""
        try:
            self._poll.unregister(fd)
        except KeyError:
            raise FileNotFoundError(f"{fd} is not looked at") from None

    def poll(self, timeout: float = -1) -> list[tuple[int, int]]:
        """Return what is ready within *timeout* seconds; what was closed is forgotten."""
        found = self._poll.poll(None if timeout < 0 else math.ceil(timeout * 1000))
        closed = [fd for fd, event in found if event & select.POLLNVAL]
        for fd in closed:
            self._poll.unregister(fd)
        return [each for each in found if each[0] not in closed]


def poller() -> Poller:
    """Return the best that this system has."""
    return select.epoll() if sys.platform == "linux" and hasattr(select, "epoll") else PlainPoller()


def process_of(peer: socket.socket) -> int:
    """Return the process id at the other end of a Unix socket; 0 if the system does not tell."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return int(struct.unpack("3i", found)[0])
        found = peer.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, 4)
        return int(struct.unpack("i", found)[0])
    except (OSError, struct.error):
        return 0
