"""Many clients, many rows, many bytes, and clients that do not read: the endpoint stays small."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox, Start
from tests.kit.integration.sandbox.endpoint.wire import (
    COPY_DONE,
    Wire,
    copy_data,
    errors,
    extended,
    kinds,
    message,
    query,
    rows,
    tags,
)

MEGABYTE = 1024 * 1024
LARGE = "SELECT g, repeat('x', 1000) FROM generate_series(1, {}) g"


def _memory(sandbox: Sandbox, what: str = "VmHWM") -> int:
    """How many bytes the endpoint's process has used, at most (proc(5))."""
    said = Path(f"/proc/{sandbox.pid}/status").read_text()
    found = re.search(rf"{what}:\s+(\d+) kB", said)
    assert found is not None
    return int(found[1]) * 1024


@pytest.fixture
def fresh(start_endpoint: Start, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """An endpoint of this test's own, whose memory nobody else has used."""
    sandbox = start_endpoint()
    sandbox.process.call("enter", test=request.node.nodeid)
    yield sandbox
    sandbox.stack.close()
    sandbox.process.close()


def test_a_hundred_clients_at_once(sandbox: Sandbox) -> None:
    """Each in its own transaction, in turns; what half of them commit is there."""
    clients = [sandbox.client() for _ in range(100)]
    for number, client in enumerate(clients):
        client.send(query(f"SET application_name = 'client {number}'"))
        client.send(query(f"BEGIN; INSERT INTO items VALUES ({number}, 'mine')"))
        client.send(query("SHOW application_name"))
        client.send(extended("SELECT $1", str(number)))
        client.send(query("COMMIT"))
    for number, client in enumerate(clients):
        heard = [each for _ in range(5) for each in client.until("Z")]
        assert rows(heard) == [(f"client {number}",), (str(number),)]
        assert tags(heard) == ["SET", "BEGIN", "INSERT 0 1", "SHOW", "SELECT 1", "COMMIT"]
    for number, client in enumerate(clients):
        client.send(query(f"BEGIN; UPDATE items SET name = 'changed' WHERE id = {number}"))
        assert errors(client.until("Z")) == []
        assert tags(client.run("COMMIT" if number % 2 else "ROLLBACK")) == [
            "COMMIT" if number % 2 else "ROLLBACK"
        ]

    assert clients[0].rows("SELECT name, count(*) FROM items GROUP BY 1 ORDER BY 1") == [
        ("changed", "50"),
        ("mine", "50"),
    ]


def test_a_hundred_threads_at_once(sandbox: Sandbox) -> None:
    """Each connects, works, commits and leaves while the others do."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with Wire(sandbox.path) as client:
                client.start(sandbox.parameters())
                for step in range(5):
                    key = number * 10 + step
                    assert errors(client.run(f"INSERT INTO items VALUES ({key})")) == []
                    assert client.rows(f"SELECT id FROM items WHERE id = {key}") == [(str(key),)]
        except BaseException as error:  # noqa: BLE001 - the test tells it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert failures == []
    assert sandbox.client().value("SELECT count(*) FROM items") == "500"


@pytest.mark.nightly
def test_a_million_rows_come_out(fresh: Sandbox) -> None:
    """All of them, and the endpoint's process does not grow with them."""
    client = fresh.client()
    client.run("SELECT 1")
    before = _memory(fresh)
    client.send(query("SELECT g, 'row ' || g FROM generate_series(1, 1000000) g"))
    count = length = 0
    while (each := client.next()).kind != "Z":
        count += each.kind == "D"
        length += len(each.body)

    assert count == 1_000_000
    assert length > 20 * MEGABYTE
    assert _memory(fresh) - before < 12 * MEGABYTE


def test_a_hundred_megabytes_go_in(fresh: Sandbox) -> None:
    """By COPY, kept on disk while they come; another client works meanwhile, and sees none."""
    client, other = fresh.client(), fresh.client()
    client.run("CREATE TABLE lines (line text)")
    before = _memory(fresh)
    client.send(query("COPY lines FROM STDIN"))
    assert kinds(client.until("G")) == "G"
    block = copy_data((b"x" * 1023 + b"\n") * 64)
    for number in range(1600):
        client.send(block)
        if number % 400 == 0:
            assert other.value("SELECT count(*) FROM lines") == "0"
    client.send(COPY_DONE)

    assert tags(client.until("Z")) == ["COPY 102400"]
    assert other.rows("SELECT count(*), sum(length(line)) FROM lines") == [
        ("102400", str(102400 * 1023))
    ]
    assert _memory(fresh) - before < 40 * MEGABYTE


def test_one_row_may_be_large(sandbox: Sandbox) -> None:
    """In a statement, in a parameter, in a row and in a COPY."""
    client = sandbox.client()
    text = "y" * (10 * MEGABYTE)
    client.run(f"INSERT INTO items VALUES (1, '{text}')")
    client.ask(extended("INSERT INTO items VALUES ($1, $2)", "2", text))
    client.send(query("COPY items FROM STDIN") + copy_data(f"3\t{text}\n".encode()) + COPY_DONE)
    client.until("Z")

    assert [value for (value,) in client.rows("SELECT name FROM items")] == [text] * 3


def test_who_does_not_read_keeps_nobody_waiting(fresh: Sandbox) -> None:
    """The result waits on disk while another client works; then it is read, whole."""
    reader, other = fresh.client(), fresh.client()
    before = _memory(fresh)
    reader.send(query(LARGE.format(100_000)))
    for number in range(50):
        other.send(query(f"INSERT INTO items VALUES ({number})"))
        assert tags(other.until("Z")) == ["INSERT 0 1"]
    heard = reader.until("Z")

    assert len(rows(heard)) == 100_000
    assert heard[-2].text == "SELECT 100000"
    assert _memory(fresh) - before < 60 * MEGABYTE


def test_who_does_not_read_keeps_no_new_client_waiting(fresh: Sandbox) -> None:
    """The one thread of a program may open another connection in the middle of a result."""
    reader = fresh.client()
    reader.send(query(LARGE.format(100_000)))
    reader.until("D")
    other = fresh.client()

    assert tags(other.run("INSERT INTO items VALUES (1)")) == ["INSERT 0 1"]
    assert reader.until("Z")[-2].text == "SELECT 100000"


@pytest.mark.parametrize(
    ("count", "size"), [(2_000, 1), (200, 5_000)], ids=["many small", "some large"]
)
def test_who_only_listens_hears_of_everything(sandbox: Sandbox, count: int, size: int) -> None:
    """Although it says nothing, and has not read what came before."""
    listener, client = sandbox.client(), sandbox.client()
    listener.run("LISTEN heard")
    call = f"pg_notify('heard', repeat('x', {size}) || number)"
    client.run(f"SELECT {call} FROM generate_series(1, {count}) number")
    assert client.value("SELECT 2") == "2"
    heard = [listener.next() for _ in range(count)]

    assert {each.kind for each in heard} == {"A"}
    assert heard[-1].body.endswith(f"x{count}\0".encode())
    assert listener.is_silent()


def test_rows_are_streamed_while_others_work(sandbox: Sandbox) -> None:
    """psycopg's stream(), with statements of another connection between the rows."""
    with (
        psycopg.connect(**sandbox.dsn) as one,
        psycopg.connect(**sandbox.dsn, autocommit=True) as other,
    ):
        found = 0
        for number, _ in one.cursor().stream(
            "SELECT g, repeat('x', 500) FROM generate_series(1, 60000) g"
        ):
            if number % 20_000 == 0:
                other.execute("INSERT INTO items VALUES (%s)", [number])
            found += 1
        count = other.execute("SELECT count(*) FROM items").fetchone()

    assert (found, count) == (60_000, (3,))


def test_who_sends_without_reading_is_answered_in_the_end(sandbox: Sandbox) -> None:
    """A pipeline whose answers, read afterwards, are more than sockets and kernel keep."""
    client, other = sandbox.client(), sandbox.client()
    pipeline = extended("SELECT repeat($1, 2000)", "x") * 3_000
    writer = threading.Thread(target=client.send, args=(pipeline,))
    writer.start()
    assert other.value("SELECT 1 + 1") == "2"
    heard = [each for _ in range(3_000) for each in client.until("Z")]
    writer.join()

    assert len(rows(heard)) == 3_000


def test_a_copy_that_fails_late_keeps_nothing(fresh: Sandbox) -> None:
    """The last row of many is wrong, or the client gives up."""
    client = fresh.client()
    for ending in (copy_data(b"no number\t\n") + COPY_DONE, message("f", b"enough\0")):
        client.send(query("COPY items FROM STDIN"))
        client.until("G")
        for number in range(200):
            client.send(copy_data(b"%d\t%s\n" % (number, b"x" * 100_000)))
        client.send(ending)
        assert len(errors(client.until("Z"))) == 1
        assert client.value("SELECT count(*) FROM items") == "0"

    assert _memory(fresh, "VmRSS") < 80 * MEGABYTE
