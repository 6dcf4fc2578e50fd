"""Something on a port that is no PostgreSQL."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Stranger:
    """A listener on 127.0.0.1 that greets, reads, and replies with the same bytes each time.

    Without a greeting and a reply it stays silent; with None for a reply it hangs up, as it does
    after a reply unless told not to.
    """

    def __init__(self, greeting: bytes, reply: bytes | None, *, hangs_up: bool = True) -> None:
        """Listen; nothing is answered before the block begins."""
        self._greeting = greeting
        self._reply = reply
        self._hangs_up = hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up everywhere."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for line in self._lines:
            line.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self._lines.append(line)
                self._answer(line)

    def _answer(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._greeting:
                line.sendall(self._greeting)
            if self._reply is None:
                line.recv(1000)
                line.close()
            elif self._reply:
                line.recv(1000)
                line.sendall(self._reply)
            if self._hangs_up and self._reply:
                line.close()
