"""A pooler in transaction mode, as far as the kit meets one: simple queries, and no passwords.

Each client is let in by the pooler itself and sees a cancel key of the pooler's. A query goes to
one of a few sessions of the server's, and the session is free again as soon as it is idle outside
of a transaction.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from types import TracebackType
from typing import Self

_WELCOME = [
    (b"R", struct.pack("!i", 0)),
    (b"S", b"server_version\x0018.0\0"),
    (b"S", b"client_encoding\0UTF8\0"),
    (b"S", b"DateStyle\0ISO, MDY\0"),
    (b"S", b"standard_conforming_strings\0on\0"),
    (b"K", struct.pack("!ii", 4711, 4711)),
    (b"Z", b"I"),
]


class Pooler:
    """A listener on 127.0.0.1 before the server whose Unix socket is *path*."""

    def __init__(self, path: str, *, sessions: int = 2, in_turn: bool = False) -> None:
        """Have so many *sessions*, which are taken *in_turn*, or the one last used first."""
        self._free = deque(self._session(path) for _ in range(sessions))
        self._in_turn = in_turn
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[socket.socket] = list(self._free)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        """Begin to let clients in."""
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up on both sides."""
        self._listener.close()
        for line in self._lines:
            line.close()

    @staticmethod
    def _session(path: str) -> socket.socket:
        line = socket.socket(socket.AF_UNIX)
        line.connect(path)
        body = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
        line.sendall(struct.pack("!i", len(body) + 4) + body)
        while _message(line)[0] != b"Z":
            pass
        return line

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._lines.append(client)
                threading.Thread(target=self._let_in, args=(client,), daemon=True).start()

    def _let_in(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                (length,) = struct.unpack("!i", _exactly(client, 4))
                (code,) = struct.unpack("!i", _exactly(client, length - 4)[:4])
                if code == 196608:
                    break
                client.sendall(b"N")  # neither TLS nor GSS
            for letter, body in _WELCOME:
                client.sendall(_framed(letter, body))
            while (query := _message(client))[0] == b"Q":
                self._transaction(client, query)

    def _transaction(self, client: socket.socket, query: tuple[bytes, bytes]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            session = self._free.popleft() if self._in_turn else self._free.pop()
        try:
            while True:
                session.sendall(_framed(*query))
                if self._answer(session, client) == b"I":
                    return
                query = _message(client)
        finally:
            with self._changed:
                self._free.append(session)
                self._changed.notify_all()

    @staticmethod
    def _answer(session: socket.socket, client: socket.socket) -> bytes:
        """Pass on what the server says, and return the state of its transaction."""
        while True:
            letter, body = _message(session)
            client.sendall(_framed(letter, body))
            if letter == b"Z":
                return body


def _framed(letter: bytes, body: bytes) -> bytes:
    return letter + struct.pack("!i", len(body) + 4) + body


def _message(line: socket.socket) -> tuple[bytes, bytes]:
    letter = _exactly(line, 1)
    (length,) = struct.unpack("!i", _exactly(line, 4))
    return letter, _exactly(line, length - 4)


def _exactly(line: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = line.recv(count - len(got))
        if not more:
            raise EOFError
        got += more
    return got
