"""What a client's bytes make, however they come."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator

import pytest

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.connection import ClientConnection, Unit
from pgsandbox.sandbox.endpoint.messages import ProtocolError

PIPELINE = (
    messages.query("begin")
    + messages.message(b"P", b"\0select 1\0\0\0")
    + messages.message(b"B", b"\0\0\0\0\0\0\0\0")
    + messages.message(b"E", b"\0\0\0\0\0")
    + messages.SYNC
    + messages.message(b"P", b"\0select 2\0\0\0")
    + messages.message(b"H")
    + messages.SYNC
    + messages.message(b"F", b"x")
    + messages.message(b"d", b"row")
    + messages.COPY_DONE
    + messages.message(b"X")
)
UNITS = ["Q", "PBES", "PH", "S", "F", "d", "c", "X"]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, ClientConnection]]:
    """A client's end, and the endpoint's."""
    theirs, ours = socket.socketpair()
    connection = ClientConnection(ours)
    yield theirs, connection
    theirs.close()
    connection.close()


def _kinds(units: list[Unit]) -> list[str]:
    return ["".join(kind.decode() for kind, _ in unit) for unit in units]


def _heard(connection: ClientConnection) -> list[Unit]:
    connection.receive()
    found = []
    while (unit := connection.next_unit()) is not None:
        found.append(unit)
    return found


@pytest.mark.parametrize("seed", range(30))
def test_units_do_not_depend_on_how_the_bytes_come(
    ends: tuple[socket.socket, ClientConnection], seed: int
) -> None:
    """One by one, in pieces, or all at once."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    client, connection = ends
    found: list[Unit] = []
    rest = PIPELINE
    while rest:
        size = chance.choice([1, 2, 5, 50, len(rest)])
        client.sendall(rest[:size])
        rest = rest[size:]
        found += _heard(connection)

    assert _kinds(found) == UNITS
    assert b"".join(messages.message(*each) for unit in found for each in unit) == PIPELINE
    assert not connection.has_input


@pytest.mark.parametrize("kind", [b"\0", b"y", b"R", b"Z", b"\xff"])
def test_no_client_sends_such_a_message(
    ends: tuple[socket.socket, ClientConnection], kind: bytes
) -> None:
    """What came before it is answered."""
    client, connection = ends
    client.sendall(messages.SYNC + messages.message(kind))
    connection.receive()

    assert connection.next_unit() == [(b"S", b"")]
    with pytest.raises(ProtocolError, match=f"invalid frontend message type {kind[0]}"):
        connection.next_unit()


def test_a_startup_packet_comes_in_pieces(ends: tuple[socket.socket, ClientConnection]) -> None:
    """What follows it is left where it is."""
    client, connection = ends
    packet = messages.startup({"user": "a"})
    for byte in packet[:-1]:
        client.sendall(bytes([byte]))
        connection.receive()
        assert connection.take_startup() is None
    client.sendall(packet[-1:] + messages.SYNC)
    connection.receive()

    assert connection.take_startup() == packet[4:]
    assert connection.next_unit() == [(b"S", b"")]


@pytest.mark.parametrize("length", [-1, 0, 7, 10_001, 2**31 - 1])
def test_a_startup_packet_has_a_length(
    ends: tuple[socket.socket, ClientConnection], length: int
) -> None:
    """One that the server would take."""
    client, connection = ends
    client.sendall(struct.pack("!i", length))
    connection.receive()

    with pytest.raises(ProtocolError):
        connection.take_startup()


def test_a_request_to_cancel_is_known_by_its_code(
    ends: tuple[socket.socket, ClientConnection],
) -> None:
    """As soon as all of it is there."""
    client, connection = ends
    packet = messages.cancel(1, b"\0\0\0\2")
    client.sendall(packet[:-1])
    connection.receive()
    assert connection.startup_code() is None
    client.sendall(packet[-1:])
    connection.receive()

    assert connection.startup_code() == messages.CANCEL_REQUEST


def test_a_client_that_does_not_read_gets_everything_later(
    ends: tuple[socket.socket, ClientConnection],
) -> None:
    """In order, and nothing blocks meanwhile."""
    client, connection = ends
    said = b""
    for number in range(40):
        part = bytes([number]) * 100_000
        connection.send(part)
        said += part
    connection.flush()
    assert len(connection.outgoing) > 0
    heard = b""
    while len(heard) < len(said):
        heard += client.recv(1_000_000)
        connection.flush()

    assert heard == said
    assert len(connection.outgoing) == 0


def test_a_client_that_is_gone_is_told_nothing(
    ends: tuple[socket.socket, ClientConnection],
) -> None:
    """What waits for it is dropped."""
    client, connection = ends
    client.close()
    connection.send(b"x" * 1_000_000)
    connection.flush()
    connection.receive()
    connection.flush()

    assert connection.is_closed
    assert len(connection.outgoing) == 0


def test_what_a_client_said_before_it_went_is_there(
    ends: tuple[socket.socket, ClientConnection],
) -> None:
    """The server would do it, too."""
    client, connection = ends
    client.sendall(PIPELINE)
    client.close()
    found = _heard(connection)
    connection.receive()

    assert _kinds(found) == UNITS
    assert connection.is_closed


def test_no_part_of_an_answer_waits_for_the_one_before_it() -> None:
    """Over TCP the second one would go when the client's system has acknowledged the first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    with theirs, accepted:
        ClientConnection(accepted)

        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
