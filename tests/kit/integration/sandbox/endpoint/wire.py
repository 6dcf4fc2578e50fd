"""A client that speaks PostgreSQL's protocol by hand, so that it can also speak it wrongly.

It is written from the manual (chapter 54) and shares nothing with the endpoint, whose mistakes it
is to find.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

SECONDS = 20.0
"""How long an answer may take before a test fails."""


class Message(NamedTuple):
    """One message of the server: its type, and its body."""

    kind: str
    body: bytes

    @property
    def text(self) -> str:
        """The body of CommandComplete."""
        return self.body.rstrip(b"\0").decode()

    @property
    def fields(self) -> dict[str, str]:
        """The fields of ErrorResponse and NoticeResponse, by their letters."""
        parts = self.body.rstrip(b"\0").split(b"\0")
        return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in parts if part}

    @property
    def row(self) -> tuple[str | None, ...]:
        """The values of DataRow, in text format."""
        values: list[str | None] = []
        position = 2
        while position < len(self.body):
            (length,) = struct.unpack_from("!i", self.body, position)
            position += 4
            values.append(None if length < 0 else self.body[position : position + length].decode())
            position += max(length, 0)
        return tuple(values)


class Closed(Exception):
    """The other side has closed the connection."""


# -- what a client sends -----------------------------------------------------------------------


def message(kind: str, body: bytes = b"") -> bytes:
    """Any message, with its length as it is."""
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def strings(*values: str) -> bytes:
    """Values as the protocol writes strings."""
    return b"".join(value.encode() + b"\0" for value in values)


def query(sql: str) -> bytes:
    """Query."""
    return message("Q", strings(sql))


def parse(sql: str, name: str = "", *types: int) -> bytes:
    """Parse."""
    return message("P", strings(name, sql) + struct.pack(f"!h{len(types)}i", len(types), *types))


def bind(name: str = "", portal: str = "", *values: str | None) -> bytes:
    """Bind, with parameters and results in text format."""
    body = strings(portal, name) + struct.pack("!hh", 0, len(values))
    for value in values:
        encoded = b"" if value is None else value.encode()
        body += struct.pack("!i", -1 if value is None else len(encoded)) + encoded
    return message("B", body + struct.pack("!h", 0))


def describe(what: str, name: str = "") -> bytes:
    """Describe a statement (``S``) or a portal (``P``)."""
    return message("D", what.encode() + strings(name))


def execute(portal: str = "", rows: int = 0) -> bytes:
    """Execute."""
    return message("E", strings(portal) + struct.pack("!i", rows))


def close(what: str, name: str = "") -> bytes:
    """Close a statement (``S``) or a portal (``P``)."""
    return message("C", what.encode() + strings(name))


def extended(sql: str, *values: str | None) -> bytes:
    """A statement with parameters, as drivers send it."""
    return parse(sql) + bind("", "", *values) + describe("P") + execute() + SYNC


def copy_data(data: bytes) -> bytes:
    """CopyData."""
    return message("d", data)


def startup(parameters: Mapping[str, str], protocol: int = 196608) -> bytes:
    """StartupMessage."""
    pairs = [each for pair in parameters.items() for each in pair]
    body = struct.pack("!i", protocol) + strings(*pairs) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def cancel_request(pid: int, key: int) -> bytes:
    """CancelRequest."""
    return struct.pack("!iiii", 16, 80877102, pid, key)


SYNC = message("S")
FLUSH = message("H")
COPY_DONE = message("c")
TERMINATE = message("X")
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSS_REQUEST = struct.pack("!ii", 8, 80877104)

# -- the client --------------------------------------------------------------------------------


class Wire:
    """One connection, which says what it is told and hears everything."""

    def __init__(self, address: Path | tuple[str, int], seconds: float = SECONDS) -> None:
        if isinstance(address, Path):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(seconds)
            self.socket.connect(str(address))
        else:
            self.socket = socket.create_connection(address, timeout=seconds)
        self.pid = self.key = 0
        """The key by which it can be cancelled."""
        self.parameters: dict[str, str] = {}
        """What ParameterStatus said last."""
        self._received = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def vanish(self) -> None:
        """Be gone without a word."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Say *data*."""
        self.socket.sendall(data)

    def try_to_send(self, data: bytes) -> None:
        """Say *data*, if anybody still listens."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def byte(self) -> bytes:
        """Hear one byte: the answer to SSLRequest."""
        return self.socket.recv(1)

    def next(self) -> Message:
        """Hear one message.

        Raises:
            Closed: there is none to come.
        """
        while True:
            if len(self._received) >= 5:
                (length,) = struct.unpack_from("!i", self._received, 1)
                if len(self._received) > length:
                    kind = chr(self._received[0])
                    body = bytes(self._received[5 : length + 1])
                    del self._received[: length + 1]
                    return Message(kind, body)
            try:
                received = self.socket.recv(262_144)
            except ConnectionError:
                received = b""
            if not received:
                raise Closed
            self._received += received

    def until(self, *kinds: str) -> list[Message]:
        """Hear messages up to one of *kinds*."""
        heard = [self.next()]
        while heard[-1].kind not in kinds:
            heard.append(self.next())
        return heard

    def rest(self) -> list[Message]:
        """Hear messages until the other side closes the connection."""
        heard = []
        with contextlib.suppress(Closed):
            while True:
                heard.append(self.next())
        return heard

    def is_silent(self) -> bool:
        """Whether there is nothing to hear at the moment."""
        self.socket.setblocking(False)
        try:
            self._received += self.socket.recv(262_144)
        except BlockingIOError:
            return not self._received
        finally:
            self.socket.settimeout(SECONDS)
        return False

    def start(self, parameters: Mapping[str, str], protocol: int = 196608) -> list[Message]:
        """Introduce itself; hear everything up to ReadyForQuery, or to what comes instead."""
        self.send(startup(parameters, protocol))
        return self.welcome()

    def welcome(self) -> list[Message]:
        """Hear what a client that is let in is told."""
        heard = self.until("Z", "E")
        for each in heard:
            if each.kind == "K":
                self.pid, self.key = struct.unpack_from("!ii", each.body)
            elif each.kind == "S":
                name, value, _ = each.body.split(b"\0")
                self.parameters[name.decode()] = value.decode()
        return heard

    def ask(self, request: bytes) -> list[Message]:
        """Say *request*, and hear the answers up to ReadyForQuery."""
        self.send(request)
        return self.until("Z")

    def run(self, sql: str) -> list[Message]:
        """Run *sql* as a simple query."""
        return self.ask(query(sql))

    def rows(self, sql: str) -> list[tuple[str | None, ...]]:
        """Return the rows of *sql*, which succeeds."""
        heard = self.run(sql)
        said = [each.fields for each in heard if each.kind == "E"]
        assert not said, f"{sql}: {said}"
        return [each.row for each in heard if each.kind == "D"]

    def value(self, sql: str) -> str | None:
        """Return the first value of *sql*."""
        return self.rows(sql)[0][0]


# -- what was heard ----------------------------------------------------------------------------


def kinds(heard: list[Message]) -> str:
    """The types of messages, in one word."""
    return "".join(each.kind for each in heard)


def rows(heard: list[Message]) -> list[tuple[str | None, ...]]:
    """The rows among messages."""
    return [each.row for each in heard if each.kind == "D"]


def errors(heard: list[Message]) -> list[str]:
    """The SQLSTATEs of errors among messages."""
    return [each.fields["C"] for each in heard if each.kind == "E"]


def tags(heard: list[Message]) -> list[str]:
    """The tags of the CommandCompletes among messages."""
    return [each.text for each in heard if each.kind == "C"]


def status(heard: list[Message]) -> str:
    """What the last ReadyForQuery says of the transaction."""
    return [each.body.decode() for each in heard if each.kind == "Z"][-1]


def messages_in(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each message of *data*, of a client that was let in, begins and ends."""
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("!i", data, position + 1)
        yield position, position + 1 + length
        position += 1 + length
