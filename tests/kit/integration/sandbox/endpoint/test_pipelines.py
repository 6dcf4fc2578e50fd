"""Statements by the thousand before a Sync, as drivers' ``executemany()`` sends them."""

from __future__ import annotations

import threading

import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    SYNC,
    Message,
    Wire,
    bind,
    errors,
    execute,
    kinds,
    parse,
    status,
    tags,
)
from tests.kit.nightly import by_night

PREPARED = parse("INSERT INTO items VALUES ($1, $2)", "insert")


def _inserts(count: int, *, first: int = 1000, name: str = "") -> bytes:
    """Bind and Execute for each row."""
    return b"".join(
        bind("insert", "", str(first + number), name) + execute() for number in range(count)
    )


def _asked(client: Wire, request: bytes, last: str = "Z") -> list[Message]:
    """The answers to *request* up to the *last* one, which are read while it is sent."""
    sending = threading.Thread(target=client.send, args=(request,))
    sending.start()
    heard = client.until(last)
    sending.join()
    return heard


@pytest.fixture(params=["in a block", *by_night("by itself")])
def begin(request: pytest.FixtureRequest) -> str:
    """What comes before: a transaction block, or nothing."""
    return "BEGIN" if request.param == "in a block" else "SELECT 1"


def test_forty_thousand_rows(sandbox: Sandbox, begin: str) -> None:
    """Each costs the same, however many there are."""
    client, direct = sandbox.client(), sandbox.direct()
    heard = []
    for each in (client, direct):
        each.run(begin)
        heard.append(_asked(each, PREPARED + _inserts(40_000) + SYNC))
        each.run("ROLLBACK")
        each.run("DELETE FROM items WHERE id >= 1000")

    assert kinds(heard[0]) == kinds(heard[1])
    assert tags(heard[0]) == tags(heard[1])


def test_what_is_sent_is_run_before_its_end_is_sent(sandbox: Sandbox) -> None:
    """As on the server, whose answers don't wait for a Sync."""
    client = sandbox.client()
    client.send(PREPARED + _inserts(1_000))
    heard = client.until("C")
    client.send(SYNC)
    heard += client.until("Z")

    assert tags(heard) == ["INSERT 0 1"] * 1_000
    assert client.value("SELECT count(*) FROM items WHERE id >= 1000") == "1000"


def test_large_values_are_run_before_their_end_is_sent(sandbox: Sandbox) -> None:
    """A few of them are as much to keep as many small ones."""
    client = sandbox.client()
    client.send(PREPARED + _inserts(4, name="x" * 400_000))
    heard = client.until("C")
    client.send(SYNC)
    heard += client.until("Z")

    assert tags(heard) == ["INSERT 0 1"] * 4


@pytest.mark.parametrize("broken", [10, 3_000], ids=["early", "late"])
def test_one_that_fails_undoes_them_all(sandbox: Sandbox, begin: str, broken: int) -> None:
    """The error comes at once, and nothing after it is run."""
    client, direct = sandbox.client(), sandbox.direct()
    heard = []
    for each in (client, direct):
        each.run(begin)
        again = bind("insert", "", "1000", "again") + execute()
        request = PREPARED + _inserts(broken) + again + _inserts(2_000, first=20_000)
        heard.append(_asked(each, request, "E") + _asked(each, SYNC))
        each.run("ROLLBACK")
        assert each.value("SELECT count(*) FROM items WHERE id >= 1000") == "0"

    assert kinds(heard[0]) == kinds(heard[1])
    assert [errors(each) for each in heard] == [["23505"]] * 2
    assert status(heard[0]) == status(heard[1])


def test_a_lock_is_waited_for_in_the_middle(sandbox: Sandbox) -> None:
    """What was sent before it is done, and what comes after it waits."""
    client, holder = sandbox.client(), sandbox.client()
    holder.run("SELECT pg_advisory_lock(77)")
    lock = parse("SELECT pg_advisory_lock(77)", "lock") + bind("lock") + execute()
    client.send(PREPARED + _inserts(600) + lock + _inserts(600, first=5_000) + SYNC)
    heard = client.until("C")
    assert holder.value("SELECT 2") == "2"
    holder.run("SELECT pg_advisory_unlock(77)")
    heard += client.until("Z")
    client.run("SELECT pg_advisory_unlock(77)")

    assert tags(heard) == ["INSERT 0 1"] * 600 + ["SELECT 1"] + ["INSERT 0 1"] * 600
    assert client.value("SELECT count(*) FROM items WHERE id >= 1000") == "1200"
