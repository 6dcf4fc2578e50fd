"""Requests for forks, with the files that each gets: JSON on a socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

_LENGTH = 10


def send(to: socket.socket, request: Any, files: Sequence[int]) -> None:
    """Ask for a fork that gets *files*."""
    asked = json.dumps(request).encode()
    socket.send_fds(to, [b"%*d" % (_LENGTH, len(asked))], files)
    to.sendall(asked)


def receive(source: socket.socket, most_files: int) -> tuple[Any, list[int]] | None:
    """Return a request and its files; None when nobody asks any more."""
    header, files, _, _ = socket.recv_fds(source, _LENGTH, most_files)
    if not header:
        return None
    header += _exactly(source, _LENGTH - len(header))
    return json.loads(_exactly(source, int(header))), files


def answer(to: socket.socket, number: int) -> None:
    """Tell whoever has asked *number*: a process, or how it has ended."""
    to.sendall(b"%*d" % (_LENGTH, number))


def number(source: socket.socket) -> int:
    """Return what was answered.

    Raises:
        ConnectionError: the process that is forked has ended.
    """
    return int(_exactly(source, _LENGTH))


def _exactly(source: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = source.recv(count - len(received))
        if not part:
            raise ConnectionError("the process that is forked has ended")
        received += part
    return received
