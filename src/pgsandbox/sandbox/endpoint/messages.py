"""The messages of PostgreSQL's frontend/backend protocol, version 3, as bytes.

PostgreSQL manual, 53.7: each message is a type byte, a length that counts itself, and a body. Names
here are the manual's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

_INT = struct.Struct("!i")
_HEADER = struct.Struct("!ci")

PROTOCOL_3 = 196608
CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104

LONGEST_STARTUP = 10_000
"""The server's own limit for a start-up packet (``MAX_STARTUP_PACKET_LENGTH``)."""
LONGEST = 0x3FFFFFFF
"""The server's own limit for a message of a client (``PQ_LARGE_MESSAGE_LIMIT``)."""

IDLE, IN_TRANSACTION, FAILED = b"I", b"T", b"E"
"""Where a transaction stands, as ReadyForQuery says it."""


class ProtocolError(Exception):
    """A peer sent what the protocol does not allow."""


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Return one message."""
    return _HEADER.pack(kind, len(body) + 4) + body


def text(*values: str) -> bytes:
    """Return *values* as the protocol writes strings."""
    return b"".join(value.encode("utf-8", "surrogateescape") + b"\0" for value in values)


# --------------------------------------------------------------------------- from the server

PARSE_COMPLETE = message(b"1")
BIND_COMPLETE = message(b"2")
CLOSE_COMPLETE = message(b"3")
NO_DATA = message(b"n")
EMPTY_QUERY = message(b"I")
NO_PARAMETERS = message(b"t", b"\0\0")

_READY = {status: message(b"Z", status) for status in (IDLE, IN_TRANSACTION, FAILED)}


def ready(status: bytes) -> bytes:
    """Return ReadyForQuery."""
    return _READY[status]


def complete(tag: str) -> bytes:
    """Return CommandComplete."""
    return message(b"C", text(tag))


def body_of(response: bytes) -> bytes:
    """Return the body of *response*, which is one message."""
    return response[5:]


def tag_of(answer: bytes) -> bytes:
    """Return the tag by which *answer*, of several messages, says that its statement is done."""
    buffer = bytearray(answer)
    while (found := take(buffer)) is not None:
        kind, body = found
        if kind == b"C":
            return body[:-1]
    return b""


def parameter(name: str, value: str) -> bytes:
    """Return ParameterStatus."""
    return message(b"S", text(name, value))


def notification(pid: int, channel: str, payload: str) -> bytes:
    """Return NotificationResponse."""
    return message(b"A", _INT.pack(pid) + text(channel, payload))


def key_data(pid: int, key: int) -> bytes:
    """Return BackendKeyData."""
    return message(b"K", struct.pack("!ii", pid, key))


def rows(names: Sequence[tuple[str, int]], values: Iterable[Sequence[str | None]]) -> bytes:
    """Return RowDescription for columns of these names and type oids, and one DataRow each."""
    described = struct.pack("!h", len(names)) + b"".join(
        text(name) + struct.pack("!ihihih", 0, 0, oid, _SIZES.get(oid, -1), -1, 0)
        for name, oid in names
    )
    return message(b"T", described) + b"".join(_row(row) for row in values)


_SIZES = {16: 1, 23: 4, 2278: 4}


def _row(row: Sequence[str | None]) -> bytes:
    parts = [struct.pack("!h", len(row))]
    for value in row:
        encoded = None if value is None else value.encode()
        parts.append(_INT.pack(-1) if encoded is None else _INT.pack(len(encoded)) + encoded)
    return message(b"D", b"".join(parts))


def report(kind: bytes, severity: str, code: str, words: str, **more: str) -> bytes:
    """Return ErrorResponse (*kind* ``E``) or NoticeResponse (``N``).

    *more* are its other fields by the letters of the manual, 53.8: ``D`` detail, ``H`` hint.
    """
    fields = {"S": severity, "V": severity, "C": code, "M": words, **more}
    body = b"".join(letter.encode() + text(value) for letter, value in fields.items() if value)
    return message(kind, body + b"\0")


def error(code: str, words: str, *, severity: str = "ERROR", **more: str) -> bytes:
    """Return ErrorResponse."""
    return report(b"E", severity, code, words, **more)


def warning(code: str, words: str) -> bytes:
    """Return a NoticeResponse of the severity WARNING."""
    return report(b"N", "WARNING", code, words)


def fields_of(body: bytes) -> dict[str, str]:
    """Return the fields of an ErrorResponse or NoticeResponse by their letters."""
    found = {}
    for field in body.rstrip(b"\0").split(b"\0"):
        if field:
            found[chr(field[0])] = field[1:].decode("utf-8", "replace")
    return found


def with_fields(body: bytes, changed: Mapping[str, str]) -> bytes:
    """Return the ErrorResponse of *body* with *changed* fields."""
    fields = {**fields_of(body), **changed}
    return message(b"E", b"".join(k.encode() + text(v) for k, v in fields.items()) + b"\0")


def data_row(body: bytes) -> tuple[str | None, ...]:
    """Return the values of a DataRow in text format."""
    (count,) = struct.unpack_from("!h", body)
    values: list[str | None] = []
    position = 2
    for _ in range(count):
        (length,) = _INT.unpack_from(body, position)
        position += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[position : position + length].decode("utf-8", "replace"))
            position += length
    return tuple(values)


# --------------------------------------------------------------------------- from a client

SYNC = message(b"S")
COPY_DONE = message(b"c")


def query(sql: str) -> bytes:
    """Return Query."""
    return message(b"Q", text(sql))


def run(sql: bytes) -> bytes:
    """Return Parse, Bind and Execute of *sql*, which has no name, parameters or rows."""
    return message(b"P", b"\0%b\0\0\0" % sql) + message(b"B", bytes(8)) + message(b"E", bytes(5))


def close(what: bytes, name: bytes) -> bytes:
    """Return Close for a statement (*what* ``S``) or a portal (``P``)."""
    return message(b"C", what + name + b"\0")


def startup(parameters: Mapping[str, str]) -> bytes:
    """Return StartupMessage."""
    body = _INT.pack(PROTOCOL_3) + b"".join(text(k, v) for k, v in parameters.items()) + b"\0"
    return _INT.pack(len(body) + 4) + body


def cancel(pid: int, key: bytes) -> bytes:
    """Return CancelRequest."""
    body = _INT.pack(CANCEL_REQUEST) + _INT.pack(pid) + key
    return _INT.pack(len(body) + 4) + body


def string(body: bytes, position: int = 0) -> tuple[bytes, int]:
    """Return the string that begins at *position* of *body*, and where what follows it begins.

    Raises:
        ProtocolError: it does not end.
    """
    end = body.find(b"\0", position)
    if end < 0:
        raise ProtocolError("a string in the message has no end")
    return body[position:end], end + 1


def take(buffer: bytearray) -> tuple[bytes, bytes] | None:
    """Take the first message off *buffer*: its type and its body; None if it is not all there.

    Raises:
        ProtocolError: its length is none.
    """
    if len(buffer) < 5:
        return None
    kind, length = _HEADER.unpack_from(buffer)
    if length < 4 or length > LONGEST:
        raise ProtocolError("invalid message length")
    if len(buffer) <= length:
        return None
    body = bytes(buffer[5 : length + 1])
    del buffer[: length + 1]
    return kind, body
