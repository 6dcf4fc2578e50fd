"""One client's socket: what it has sent and not been answered yet, and what waits to be sent."""

from __future__ import annotations

import contextlib
import socket
import struct

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.spool import Spool

_CHUNK = 262_144
_HEADER = struct.Struct("!ci")

COPY_MESSAGES = frozenset({b"d", b"c", b"f"})
_EXTENDED = frozenset({b"P", b"B", b"D", b"E", b"C", b"S", b"H"})
_ENDS_A_UNIT = frozenset({b"Q", b"F", b"X", b"S", b"H"}) | COPY_MESSAGES

Unit = list[tuple[bytes, bytes]]
"""Messages that are answered together: one alone, or those of the extended protocol up to a Sync
or a Flush."""


CUT = (b"H", b"")
"""A Flush that the client has not sent, where its messages are answered before it ends them."""
_MOST_MESSAGES = 500
_MOST_BYTES = 1024 * 1024


class ClientConnection:
    """The socket of one client, which never blocks."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.socket.setblocking(False)
        if accepted.family != socket.AF_UNIX:
            # As the server does. Without it the end of an answer that goes in two parts waits until
            # the client acknowledges the first, which its system puts off for some 40 ms.
            with contextlib.suppress(OSError):  # it is gone again, which macOS says here
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_closed = False
        """Whether the client is gone, or was sent away."""
        self.outgoing = Spool()
        self._parts: list[bytes] = []
        self._size = 0
        self._inbox = bytearray()
        self._unit: Unit = []
        self._unit_size = 0

    def fileno(self) -> int:
        """Return the descriptor of its socket."""
        return self.socket.fileno()

    # -- what the client says -----------------------------------------------------------------

    def receive(self) -> None:
        """Take what the client has sent so far."""
        while not self.is_closed:
            try:
                received = self.socket.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                received = b""
            if not received:
                self.is_closed = True
                return
            self._inbox += received
            if len(received) < _CHUNK:
                return

    def take_startup(self) -> bytes | None:
        """Return the body of the start-up packet, once it is there.

        Raises:
            ProtocolError: it is none.
        """
        if len(self._inbox) < 4:
            return None
        (length,) = struct.unpack_from("!i", self._inbox)
        if length < 8 or length > messages.LONGEST_STARTUP:
            raise messages.ProtocolError("invalid length of startup packet")
        if len(self._inbox) < length:
            return None
        body = bytes(self._inbox[4:length])
        del self._inbox[:length]
        return body

    def startup_code(self) -> int | None:
        """Return the code of the start-up packet that comes next, once all of it is there."""
        if len(self._inbox) < 8:
            return None
        length, code = struct.unpack_from("!ii", self._inbox)
        is_there = len(self._inbox) >= length or length > messages.LONGEST_STARTUP
        return int(code) if is_there else None

    def take_message(self) -> tuple[bytes, bytes] | None:
        """Return the next message, once it is there.

        Raises:
            ProtocolError: it is none.
        """
        return messages.take(self._inbox)

    def next_unit(self) -> Unit | None:
        """Return the next messages that are answered together, once they are there.

        A client may send statements by the thousand before it ends them with Sync, as it does in
        ``executemany()``: these come in parts, each after an Execute, with `CUT` at its end.

        Raises:
            ProtocolError: the client sent what no client sends.
        """
        while True:
            if not self._inbox:
                return None
            found = messages.take(self._inbox)
            if found is None:
                return None
            kind = found[0]
            if kind not in _EXTENDED and kind not in _ENDS_A_UNIT:
                raise messages.ProtocolError(f"invalid frontend message type {kind[0]}")
            self._unit.append(found)
            self._unit_size += len(found[1])
            is_cut = kind == b"E" and (
                len(self._unit) >= _MOST_MESSAGES or self._unit_size >= _MOST_BYTES
            )
            if is_cut:
                self._unit.append(CUT)
            if is_cut or kind in _ENDS_A_UNIT:
                unit, self._unit, self._unit_size = self._unit, [], 0
                return unit

    @property
    def next_kind(self) -> bytes:
        """The type of the message that comes next; empty if there is none."""
        return bytes(self._inbox[:1])

    @property
    def is_leaving(self) -> bool:
        """Whether the client is gone, or says so next."""
        return self.is_closed or self.next_kind == b"X"

    @property
    def has_input(self) -> bool:
        """Whether the client has sent something that was not looked at."""
        return bool(self._inbox)

    @property
    def has_sent(self) -> bool:
        """Whether something of the client is there, read or not."""
        if self._inbox:
            return True
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    @property
    def has_hung_up(self) -> bool:
        """Whether the client has gone, and nothing of what it sent before is left to be done.

        Some go without a word, others say so (Terminate).
        """
        if self._inbox:
            return self.is_leaving
        try:
            return self.socket.recv(1, socket.MSG_PEEK) in (b"", b"X")
        except BlockingIOError:
            return False
        except OSError:
            return True

    # -- what the client is told --------------------------------------------------------------

    @property
    def has_unsent(self) -> bool:
        """Whether something waits that was not tried to send."""
        return bool(self._parts)

    def send(self, data: bytes) -> None:
        """Let the client have *data*, at the next `flush` at the latest."""
        self._parts.append(data)
        self._size += len(data)
        if self._size > _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the client takes it; the rest is kept."""
        if self.is_closed:
            self._parts, self._size = [], 0
            self.outgoing.close()
            return
        if self._parts:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts, self._size = [], 0
            if not len(self.outgoing):
                data = data[self._sent(data) :]
            if data:
                self.outgoing.put(data)
        while len(self.outgoing):
            first = self.outgoing.first()
            count = self._sent(first)
            if count:
                self.outgoing.drop(count)
            if count < len(first):
                return

    def _sent(self, data: bytes) -> int:
        try:
            return self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.is_closed = True
            return 0

    def close(self) -> None:
        """Close the socket; what waits is dropped."""
        self.is_closed = True
        self.outgoing.close()
        self.socket.close()
