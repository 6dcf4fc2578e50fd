"""Messages in any order that a client may send them: the answers are the server's, one by one."""

from __future__ import annotations

import random

import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    COPY_DONE,
    FLUSH,
    SYNC,
    TERMINATE,
    Message,
    Wire,
    bind,
    close,
    copy_data,
    describe,
    execute,
    extended,
    message,
    parse,
    query,
    strings,
)
from tests.kit.nightly import by_night

EXTENDED = [
    parse("SELECT 1"),
    parse("SELECT $1::int + 1", "s"),
    parse("SELECT g FROM generate_series(1, 5) g", "t"),
    parse("INSERT INTO items VALUES (1)", "i"),
    parse("SELECT nothing", "broken"),
    parse("SELECT 1/0", "z"),
    parse(""),
    parse("BEGIN", "begin"),
    parse("COMMIT", "commit"),
    parse("ROLLBACK"),
    parse("SAVEPOINT a"),
    parse("SET LOCAL work_mem = '5MB'"),
    parse("SHOW work_mem"),
    parse("PREPARE q AS SELECT 3"),
    parse("EXECUTE q"),
    bind(),
    bind("s", "", "5"),
    bind("s", "", "x"),
    bind("t", "p"),
    bind("t"),
    bind("i"),
    bind("z"),
    bind("begin"),
    bind("commit"),
    bind("missing"),
    execute(),
    execute(),
    execute(),
    execute("", 2),
    execute("p", 2),
    execute("p"),
    execute("missing"),
    describe("S", "s"),
    describe("S", "begin"),
    describe("S", "missing"),
    describe("P"),
    describe("P", "p"),
    close("S", "s"),
    close("S", "missing"),
    close("P", "p"),
    close("P"),
    FLUSH,
]
WHOLE = [
    SYNC,
    SYNC,
    extended("SELECT $1", "a"),
    extended("INSERT INTO items VALUES ($1) RETURNING id", "7"),
    query("SELECT 1; SELECT 2"),
    query("BEGIN"),
    query("COMMIT"),
    query("ROLLBACK"),
    query("SELECT 1/0"),
    query("INSERT INTO items VALUES (1)"),
    query("SAVEPOINT a"),
    query("ROLLBACK TO a"),
    query("DEALLOCATE ALL"),
    query("FETCH 1 FROM p"),
    query(""),
]


_EITHER = ("25P02", "26000", "34000")
"""In a failed transaction the server looks for a name before it refuses the statement, or after."""


def _conversation(chance: random.Random, *, mixes: bool) -> bytes:
    parts = []
    for _ in range(chance.randint(3, 14)):
        if chance.random() < 0.6:
            parts += chance.sample(EXTENDED, chance.randint(1, 5))
            parts += [] if mixes and chance.random() < 0.3 else [SYNC]
        else:
            parts.append(chance.choice(WHOLE))
    return b"".join([*parts, SYNC, query("ROLLBACK"), TERMINATE])


def _said(heard: list[Message]) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for each in heard:
        if each.kind in "EN":
            fields = [each.fields.get(letter) for letter in "SCM"]
            found.append((each.kind, "no such thing" if fields[1] in _EITHER else fields))
        elif each.kind == "T":
            found.append((each.kind, each.body[:2]))
        else:
            found.append((each.kind, each.body))
    return found


def _play(wire: Wire, data: bytes) -> list[tuple[str, object]]:
    wire.run("DELETE FROM items")
    wire.send(data)
    return _said(wire.rest())


@pytest.mark.parametrize("block", [*range(5), *by_night(*range(5, 10))])
def test_messages_in_random_order(sandbox: Sandbox, block: int) -> None:
    """Errors skip up to the next Sync, and everything is answered in its turn."""
    for seed in range(block * 30, block * 30 + 30):
        data = _conversation(random.Random(seed), mixes=False)  # noqa: S311 - repeatable, not secret
        heard, said = _play(sandbox.client(), data), _play(sandbox.direct(), data)

        assert heard == said, f"seed {seed}: {data!r}"


@pytest.mark.parametrize(
    "request_",
    [
        query("SELECT 1"),
        SYNC,
        FLUSH,
        SYNC + SYNC + COPY_DONE,
        copy_data(b"1\ta\n") + SYNC + copy_data(b"2\tb\n") + FLUSH + COPY_DONE,
        copy_data(b"1\ta\n2") + copy_data(b"\tb\n\\.\n") + COPY_DONE,
        copy_data(b"1\ta\n") + message("f", strings("given up")),
        copy_data(b"") + COPY_DONE,
        copy_data(b"1\ta\n1\tb\n") + COPY_DONE,
        copy_data(b"1\ta\n") + COPY_DONE + copy_data(b"2\tb\n") + COPY_DONE,
        copy_data(b"x\ty\n") + copy_data(b"2\tb\n") + COPY_DONE + query("SELECT 2"),
        extended("SELECT $1", "a"),
    ],
)
@pytest.mark.parametrize("is_extended", [False, True])
def test_what_comes_during_a_copy(sandbox: Sandbox, request_: bytes, is_extended: bool) -> None:
    """Sync and Flush are ignored; anything but rows ends it with an error."""
    begin = query("COPY items FROM STDIN")
    if is_extended:
        begin = parse("COPY items FROM STDIN") + bind() + execute() + SYNC
    data = begin + request_ + SYNC + query("TABLE items") + TERMINATE

    assert _play(sandbox.client(), data) == _play(sandbox.direct(), data)
