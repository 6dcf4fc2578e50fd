"""Who answers at an address: PostgreSQL, something else, or nobody.

libpq reports every failed connection as text in the server's language, without an SQLSTATE. One
start-up message, sent by hand, tells more: PostgreSQL answers it with an authentication request or
an error that carries its SQLSTATE (PostgreSQL manual, 55.2.1 and 55.7), and nothing else does.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from typing import Literal

STARTING = "57P03"
"""The SQLSTATE of a server that starts, stops or recovers from a crash (cannot_connect_now)."""

_PROTOCOL_3 = 196608
_LENGTHS = range(8, 30_000)
_HEAD = 5  # a letter and four bytes of length


@dataclass(frozen=True)
class Answer:
    """What came back from an address."""

    who: Literal["nobody", "stranger", "postgresql"]
    """``nobody``: no connection; ``stranger``: a connection, but no PostgreSQL behind it."""
    said: str
    """What it said, or what the operating system said, in one line."""
    sqlstate: str | None = None
    """The code of PostgreSQL's refusal, if it refused before asking for a password."""


def ask(host: str, port: int, *, role: str, database: str, seconds: float) -> Answer:
    """Send one start-up message to *host* and say who answered, within *seconds*.

    A *host* that starts with a slash is the directory of a Unix socket.
    """
    deadline = time.monotonic() + seconds
    try:
        line = _dial(host, port, seconds)
    except TimeoutError:
        return Answer("nobody", f"no connection within {seconds:.0f} s")
    except ConnectionResetError as error:  # so soon that connecting itself reports it
        return Answer("stranger", f"breaks connections off ({error.strerror or error})")
    except (OSError, ValueError) as error:  # ValueError: no host can have this name (RFC 3490)
        return Answer("nobody", getattr(error, "strerror", None) or str(error))
    with line:
        try:
            line.sendall(_start_up_message(role, database))
            head = _read(line, _HEAD, deadline)
            return _judge(line, head, deadline)
        except TimeoutError:
            return Answer("stranger", "accepts connections and says nothing")
        except OSError as error:
            return Answer("stranger", f"breaks connections off ({error.strerror or error})")


def _dial(host: str, port: int, seconds: float) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port), timeout=seconds / 2)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(seconds)
    try:
        line.connect(f"{host}/.s.PGSQL.{port}")
    except OSError:
        line.close()
        raise
    return line


def _start_up_message(role: str, database: str) -> bytes:
    body = struct.pack("!i", _PROTOCOL_3)
    for word in ("user", role, "database", database, ""):
        body += word.encode() + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def _judge(line: socket.socket, head: bytes, deadline: float) -> Answer:
    if not head:
        return Answer("stranger", "closes connections without an answer")
    length = int.from_bytes(head[1:5], "big") if len(head) == _HEAD else 0
    if head[:1] == b"R" and length in _LENGTHS:
        return Answer("postgresql", "asks for authentication")
    if head[:1] == b"E" and length in _LENGTHS:
        fields = _fields(_read(line, length - 4, deadline))
        if "C" in fields:
            said = f"{fields.get('S', 'FATAL')}: {fields.get('M', '')}"
            return Answer("postgresql", said, fields["C"])
    return Answer("stranger", f'says "{_printable(head + _rest(line))}"')


def _read(line: socket.socket, count: int, deadline: float) -> bytes:
    """At most *count* bytes; fewer only if the other side closed."""
    got = b""
    while len(got) < count:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        line.settimeout(left)
        more = line.recv(count - len(got))
        if not more:
            break
        got += more
    return got


def _rest(line: socket.socket) -> bytes:
    """What else has arrived of a stranger's words, for the message."""
    line.settimeout(0.05)
    try:
        return line.recv(80)
    except OSError:
        return b""


def _fields(body: bytes) -> dict[str, str]:
    parts = [part for part in body.split(b"\0") if part]
    return {part[:1].decode("latin-1"): part[1:].decode(errors="replace") for part in parts}


def _printable(said: bytes) -> str:
    line = said.split(b"\r\n")[0][:60].decode("latin-1").rstrip("\n")
    return "".join(letter if letter.isprintable() else "." for letter in line)
