"""What no client should send: its sender hears so or is sent away, and nobody else notices.

The conversations are valid ones, changed at random: each seed is a test's own generator, so that
what fails once fails again.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    COPY_DONE,
    FLUSH,
    SYNC,
    TERMINATE,
    Wire,
    bind,
    cancel_request,
    close,
    copy_data,
    describe,
    errors,
    execute,
    extended,
    kinds,
    message,
    messages_in,
    parse,
    query,
    startup,
    strings,
)
from tests.kit.nightly import by_night

SEEDS = [range(10), *by_night(range(10, 25))]
"""Which mutations of each conversation are tried, for each way to change it."""

CONVERSATIONS: dict[str, list[bytes]] = {
    "simple": [
        query("SELECT 1"),
        query("BEGIN; INSERT INTO items VALUES (10); SELECT id FROM items"),
        query("SAVEPOINT a"),
        query("SELECT 1/0"),
        query("ROLLBACK TO a"),
        query("COMMIT"),
        query("SET work_mem = '5MB'; SHOW work_mem"),
        TERMINATE,
    ],
    "extended": [
        parse("INSERT INTO items VALUES ($1, $2) RETURNING id", "s", 23, 25),
        describe("S", "s"),
        SYNC,
        bind("s", "p", "20", "name"),
        describe("P", "p"),
        execute("p", 1),
        FLUSH,
        close("P", "p"),
        close("S", "s"),
        SYNC,
        parse("BEGIN"),
        bind(),
        execute(),
        SYNC,
        parse("SELECT g FROM generate_series(1, 9) g"),
        bind(),
        execute("", 3),
        execute("", 3),
        SYNC,
        parse("SELECT pg_advisory_xact_lock($1)"),
        bind("", "", "5"),
        execute(),
        parse("SELECT pg_notify($1, $2)"),
        bind("", "", "a", "b"),
        execute(),
        SYNC,
        parse("ROLLBACK"),
        bind(),
        execute(),
        SYNC,
        TERMINATE,
    ],
    "copy": [
        query("COPY items FROM STDIN"),
        copy_data(b"30\ta\n31\tb\n"),
        copy_data(b"32\tc\n"),
        COPY_DONE,
        query("COPY (SELECT * FROM items ORDER BY id) TO STDOUT"),
        parse("COPY items FROM STDIN"),
        bind(),
        execute(),
        SYNC,
        copy_data(b"33\td\n"),
        COPY_DONE,
        SYNC,
        query("COPY items FROM STDIN"),
        message("f", strings("no more")),
        TERMINATE,
    ],
    "session": [
        query("PREPARE q (int) AS SELECT $1"),
        query("EXECUTE q (1)"),
        query("DEALLOCATE ALL"),
        query("LISTEN a"),
        query("NOTIFY a, 'b'"),
        query("BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c; CLOSE c; END"),
        query("CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1"),
        query("SELECT pg_advisory_lock(9); SELECT pg_advisory_unlock(9)"),
        query("DISCARD ALL"),
        message("F", struct.pack("!ihhh", 2026, 0, 0, 0)),
        TERMINATE,
    ],
}


def _changed_byte(data: bytes, chance: random.Random) -> bytes:
    position = chance.randrange(len(data))
    return data[:position] + bytes([chance.randrange(256)]) + data[position + 1 :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _without_bytes(data: bytes, chance: random.Random) -> bytes:
    position = chance.randrange(len(data))
    return data[:position] + data[position + chance.randint(1, 8) :]


def _with_bytes(data: bytes, chance: random.Random) -> bytes:
    position = chance.randrange(len(data))
    return data[:position] + chance.randbytes(chance.randint(1, 8)) + data[position:]


def _wrong_length(data: bytes, chance: random.Random) -> bytes:
    begin, _ = chance.choice(list(messages_in(data)))
    lengths = [0, 1, 3, 4, 5, 0x3FFFFFFF, 0x40000000, 0x7FFFFFFF, -1, -2147483648]
    return data[: begin + 1] + struct.pack("!i", chance.choice(lengths)) + data[begin + 5 :]


def _wrong_type(data: bytes, chance: random.Random) -> bytes:
    begin, _ = chance.choice(list(messages_in(data)))
    return data[:begin] + bytes([chance.randrange(256)]) + data[begin + 1 :]


def _short_body(data: bytes, chance: random.Random) -> bytes:
    """A message whose length is right, and whose body is not all there."""
    begin, end = chance.choice([each for each in messages_in(data) if each[1] - each[0] > 5])
    kept = chance.randrange(end - begin - 5)
    return (
        data[: begin + 1]
        + struct.pack("!i", kept + 4)
        + data[begin + 5 : begin + 5 + kept]
        + data[end:]
    )


def _other_order(data: bytes, chance: random.Random) -> bytes:
    parts = [data[begin:end] for begin, end in messages_in(data)]
    one, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


def _without_messages(data: bytes, chance: random.Random) -> bytes:
    parts = [data[begin:end] for begin, end in messages_in(data)]
    return b"".join(each for each in parts if chance.random() > 0.2)


CHANGES = [
    _changed_byte,
    _cut,
    _without_bytes,
    _with_bytes,
    _wrong_length,
    _wrong_type,
    _short_body,
    _other_order,
    _without_messages,
]


def _look_on(witness: Wire) -> None:
    """The other client is where it was, in its transaction, with its own data and settings."""
    assert witness.rows("SELECT id FROM items WHERE id < 10") == [("1",)]
    assert witness.value("SHOW work_mem") == "3MB"
    assert witness.value("EXECUTE s (1)") == "mine 1"


def _witness(sandbox: Sandbox) -> Wire:
    witness = sandbox.client()
    for each in (
        "SET work_mem = '3MB'",
        "PREPARE s (int) AS SELECT 'mine ' || $1",
        "BEGIN",
        "INSERT INTO items VALUES (1, 'of the witness')",
        "COMMIT",
    ):
        assert errors(witness.run(each)) == []
    return witness


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: each.__name__.strip("_"))
@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("seeds", SEEDS, ids=["some", "more"])
def test_a_conversation_with_a_fault_harms_nobody_else(
    sandbox: Sandbox, name: str, change: Callable[[bytes, random.Random], bytes], seeds: range
) -> None:
    """An error, or the end of that connection; the endpoint lives, and the other client goes on."""
    witness = _witness(sandbox)
    data = b"".join(CONVERSATIONS[name])
    for seed in seeds:
        chance = random.Random(f"{name} {change.__name__} {seed}")  # noqa: S311 - repeatable, not secret
        with Wire(sandbox.path) as client:
            client.start(sandbox.parameters())
            client.try_to_send(change(data, chance))
            if chance.random() < 0.5:
                client.socket.shutdown(1)
                client.rest()
        _look_on(witness)

    assert sandbox.is_alive


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_conversations_are_valid_as_they_are(sandbox: Sandbox, name: str) -> None:
    """Byte by byte or all at once, the answers are the same."""
    data = b"".join(CONVERSATIONS[name])
    answers = []
    for size in (1, 7, len(data)):
        client = sandbox.client()
        client.run("DELETE FROM items")
        for begin in range(0, len(data), size):
            client.try_to_send(data[begin : begin + size])
        # A notification begins with the process id of its sender, which is another each time.
        answers.append([each for each in client.rest() if each.kind != "A"])

    assert answers[0] == answers[1] == answers[2]
    assert [each.fields["M"] for each in answers[0] if each.kind == "E"] == {
        "simple": ["division by zero"],
        "extended": [],
        "copy": ["COPY from stdin failed: no more"],
        "session": [],
    }.get(name)


@pytest.mark.parametrize("seed", range(150))
def test_a_startup_with_a_fault_harms_nobody_else(sandbox: Sandbox, seed: int) -> None:
    """Whatever a client begins with."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    whole = chance.choice(
        [
            startup(sandbox.parameters(application_name="a", options="-c work_mem=3MB")),
            struct.pack("!ii", 8, 80877103) + startup(sandbox.parameters()),
            cancel_request(1, 2),
        ]
    )
    change = chance.choice([_changed_byte, _cut, _without_bytes, _with_bytes])
    with Wire(sandbox.path) as client:
        client.try_to_send(change(whole, chance) + query("SELECT 1"))
        client.socket.shutdown(1)
        client.rest()

    assert sandbox.client().value("SELECT 1") == "1"


@pytest.mark.parametrize("seed", range(20))
def test_noise_harms_nobody_else(sandbox: Sandbox, seed: int) -> None:
    """Bytes without any sense, before and after a client is let in."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    witness = _witness(sandbox)
    for begun in (False, True):
        with Wire(sandbox.path) as client:
            if begun:
                client.start(sandbox.parameters())
            client.try_to_send(chance.randbytes(chance.randint(1, 2000)))
            client.socket.shutdown(1)
            client.rest()

    _look_on(witness)


@pytest.mark.parametrize(
    "request_",
    [
        message("P", b"no end"),
        message("P", b"s\0no end"),
        message("B", b"no end"),
        message("B", b"\0s"),
        message("D"),
        message("D", b"S"),
        message("E", b"no end"),
        message("C"),
        message("Q", b"SELECT 1"),
        message("Q"),
        message("y"),
        message("R"),
        message("\0"),
        b"Q\0\0\0\3",
        b"Q\xff\xff\xff\xff",
        b"Q\x40\0\0\0",
    ],
)
def test_a_breach_of_the_protocol_is_named(sandbox: Sandbox, request_: bytes) -> None:
    """By the SQLSTATE that the server has for it."""
    client = sandbox.client()
    client.send(request_ + SYNC)
    client.socket.shutdown(1)

    assert errors(client.rest())[0] == "08P01"


@pytest.mark.parametrize(
    "request_",
    [
        message("P", strings("s", "SELECT 1")),
        message("P", strings("s", "SELECT 1") + b"\0"),
        message("P", strings("s", "SELECT 1") + struct.pack("!h", 5)),
        message("P", strings("s", "SELECT 1") + struct.pack("!h", -1)),
        message("B", strings("", "t")),
        message("B", strings("", "t") + struct.pack("!hh", 0, 2)),
        message("B", strings("", "t") + struct.pack("!hhi", 0, 1, 100) + b"1"),
        message("B", strings("", "t") + struct.pack("!hhi", 0, 1, -7)),
        message("B", strings("", "t") + struct.pack("!h", -3)),
        message("D", strings("?t")),
        message("E", strings("")),
        message("C", strings("?t")),
        message("F"),
        message("F", b"\0\0\0\1"),
    ],
)
@pytest.mark.parametrize(
    "sql", ["SELECT 1", "SELECT pg_advisory_lock($1)", "COPY items FROM STDIN"]
)
def test_a_message_with_a_wrong_body_is_an_error(
    sandbox: Sandbox, sql: str, request_: bytes
) -> None:
    """Whatever statement it is about; the client may go on."""
    client, witness = sandbox.client(), _witness(sandbox)
    client.ask(parse(sql, "t") + SYNC)
    client.send(request_ + execute() + SYNC)
    client.send(query("SELECT 'still here'"))
    client.socket.shutdown(1)
    heard = client.rest()

    assert errors(heard) != []
    _look_on(witness)


def test_statements_with_bytes_that_are_no_text(sandbox: Sandbox) -> None:
    """The server says so, whatever kind of statement it would be."""
    client = sandbox.client()
    for text in (b"SELECT '\xff'", b"SAVEPOINT \xff", b'NOTIFY "\xff"', b"SET x.y = '\xff'"):
        heard = client.ask(message("Q", text + b"\0"))
        assert errors(heard) in (["22021"], ["25P01"], []), text
        heard = client.ask(message("P", b"\0" + text + b"\0\0\0") + bind() + execute() + SYNC)
        assert errors(heard) in (["22021"], ["25P01"], []), text

    assert client.ask(extended("SELECT $1", "fine"))[-1].body == b"I"


@pytest.mark.parametrize(
    "body",
    [
        b"\0\0\0\0\0\0",
        b"\0\0\0\1\0\0\0\0011\0\0",
        b"\0\2\0\0\0\0\0\0\0\0",
        b"\0\0\0\0\0\0more",
    ],
)
@pytest.mark.parametrize("text", ["SELECT 1", "BEGIN", "LISTEN a"])
def test_what_a_bind_says_is_read(sandbox: Sandbox, text: str, body: bytes) -> None:
    """Whether the server answers the statement or the endpoint does."""
    found = []
    for client in (sandbox.client(), sandbox.direct()):
        heard = client.ask(parse(text, "s") + message("B", b"\0s\0" + body) + SYNC)
        found.append((kinds(heard), errors(heard)))

    assert found[0] == found[1]


def test_a_portal_whose_name_is_no_text(sandbox: Sandbox) -> None:
    """Its sender hears so, and not the client whose turn comes next."""
    client, witness = sandbox.client(), _witness(sandbox)
    client.run("BEGIN")
    client.ask(parse("SELECT 1", "t") + SYNC)
    heard = client.ask(message("B", b"\xc9\0t\0" + struct.pack("!hhh", 0, 0, 0)) + SYNC)
    client.run("ROLLBACK")

    assert errors(heard) == ["22021"]
    _look_on(witness)
