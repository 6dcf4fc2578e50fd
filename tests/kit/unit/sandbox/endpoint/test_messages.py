"""Messages of the protocol, as bytes."""

from __future__ import annotations

import struct

import pytest

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.messages import ProtocolError


def test_a_message_is_its_type_its_length_and_its_body() -> None:
    """The length counts itself (PostgreSQL manual, 54.7)."""
    assert messages.message(b"Q", b"ab\0") == b"Q\0\0\0\7ab\0"
    assert messages.SYNC == b"S\0\0\0\4"
    assert messages.ready(b"T") == b"Z\0\0\0\5T"


def test_messages_are_taken_one_by_one() -> None:
    """As soon as they are there, and no earlier."""
    whole = messages.query("select 1") + messages.SYNC
    buffer = bytearray()
    taken = []
    for byte in whole:
        buffer.append(byte)
        if (found := messages.take(buffer)) is not None:
            taken.append((found, len(buffer)))

    assert taken == [((b"Q", b"select 1\0"), 0), ((b"S", b""), 0)]


@pytest.mark.parametrize("length", [0, 3, -1, 0x40000000, 0x7FFFFFFF, -(2**31)])
def test_a_length_that_is_none(length: int) -> None:
    """Nobody waits for so much, or so little."""
    with pytest.raises(ProtocolError, match="invalid message length"):
        messages.take(bytearray(b"Q" + struct.pack("!i", length)))


def test_the_longest_length() -> None:
    """The server's own limit is waited for."""
    assert messages.take(bytearray(b"d" + struct.pack("!i", messages.LONGEST))) is None


@pytest.mark.parametrize("text", ["", "a", "é\N{GRINNING FACE}", "\udce9\udcff"])
def test_strings_are_what_they_were(text: str) -> None:
    """In UTF-8, and in whatever else a client has sent."""
    data = messages.text(text, "next")
    found, position = messages.string(data)

    assert found.decode("utf-8", "surrogateescape") == text
    assert messages.string(data, position) == (b"next", len(data))


def test_a_string_without_an_end() -> None:
    """It is a breach of the protocol."""
    with pytest.raises(ProtocolError):
        messages.string(b"abc", 1)


def test_an_error_has_the_fields_that_it_was_given() -> None:
    """Empty ones are left out; changed ones replace the others."""
    error = messages.error("22012", "division by zero", D="detail", H="")
    fields = messages.fields_of(error[5:])
    changed = messages.with_fields(error[5:], {"H": "hint", "M": "no"})

    assert error[:1] == b"E"
    assert error.endswith(b"\0\0")
    assert fields == {
        "S": "ERROR",
        "V": "ERROR",
        "C": "22012",
        "M": "division by zero",
        "D": "detail",
    }
    assert messages.fields_of(changed[5:]) == {**fields, "H": "hint", "M": "no"}
    assert messages.take(bytearray(changed)) is not None


def test_a_row_is_what_it_was() -> None:
    """NULL and the empty string are two things."""
    data = bytearray(messages.rows([("a", 25), ("b", 16)], [("x", None), ("", "é")]))
    kinds, rows = [], []
    while (found := messages.take(data)) is not None:
        kinds.append(found[0])
        rows.append(found[1])

    assert kinds == [b"T", b"D", b"D"]
    assert [messages.data_row(each) for each in rows[1:]] == [("x", None), ("", "é")]
    assert struct.unpack_from("!h", rows[0]) == (2,)
    assert rows[0][2:4] == b"a\0"


def test_a_startup_packet() -> None:
    """It has no type, and ends with an empty name."""
    packet = messages.startup({"user": "a", "database": "b"})

    assert struct.unpack_from("!ii", packet) == (len(packet), 196608)
    assert packet[8:] == b"user\0a\0database\0b\0\0"
    assert messages.cancel(7, b"\0\0\0\x09") == struct.pack("!iiii", 16, 80877102, 7, 9)
