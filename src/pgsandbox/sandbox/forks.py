"""What a forked child keeps of its parent's connections to the endpoint: nothing.

fork(2) copies open sockets. What a child writes to one, or says at its end by closing a connection
that it never made, the endpoint would take for the parent's; and an event loop that forgets a
socket in the child forgets it in the parent too, since both have one epoll instance (epoll(7)). So
in the child, before any code of its own, every socket that leads to an endpoint is replaced by one
whose other end is closed: a driver that uses it is told that the server has gone. An engine makes
new connections then, because `interceptor` hands out none of another process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Iterator
from socket import SocketType  # what other plugins don't replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgsandbox.sandbox.test_database import TestDatabase

_databases: weakref.WeakSet[TestDatabase] = weakref.WeakSet()
_MOST_FILES = 1024


def watch(database: TestDatabase) -> None:
    """Let no child of this process keep a connection to the endpoint of *database*."""
    _databases.add(database)


def _let_go() -> None:
    """Run in the child of a fork, in which nothing else runs yet."""
    places: set[object] = set()
    for database in list(_databases):
        target, tcp = database.endpoint_target, database.tcp_target()
        if target is not None:
            places.add(f"{target.host}/.s.PGSQL.{target.port}")
        if tcp is not None:
            places.add((tcp.host, tcp.port))
        if database.endpoint is not None:
            database.endpoint.let_go()
    if not places:
        return
    dead, other = socket.socketpair()
    other.close()
    with dead:
        for number in _open_files():
            if _peer_of(number) in places:
                os.dup2(dead.fileno(), number, inheritable=os.get_inheritable(number))


def _open_files() -> Iterator[int]:
    try:
        yield from map(int, os.listdir("/dev/fd"))  # noqa: PTH208 - a Path of each is not wanted
    except OSError:
        yield from range(_MOST_FILES)


def _peer_of(number: int) -> object:
    """Return whom the file *number* is connected with, if it is a socket that is."""
    with contextlib.suppress(OSError):
        opened = SocketType(fileno=number)
        try:
            peer: object = opened.getpeername()
        finally:
            opened.detach()
        return peer
    return None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
