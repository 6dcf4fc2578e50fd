"""Bytes that wait, in memory and on disk."""

from __future__ import annotations

import random

import pytest

from pgsandbox.sandbox.endpoint import spool
from pgsandbox.sandbox.endpoint.spool import Spool


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test reaches."""
    monkeypatch.setattr(spool, "_IN_MEMORY", 100)
    monkeypatch.setattr(spool, "_CHUNK", 30)


@pytest.mark.parametrize("seed", range(30))
def test_what_goes_in_comes_out_in_order(seed: int) -> None:
    """However it is mixed, below the limit and above it, over and over."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    queue, put, got = Spool(), b"", b""
    for _ in range(500):
        if chance.random() < (0.3 if len(queue) > 400 else 0.55):
            data = chance.randbytes(chance.randint(1, 40))
            queue.put(data)
            put += data
        elif len(queue):
            first = queue.first()
            assert first
            count = chance.randint(1, len(first))
            got += first[:count]
            queue.drop(count)
        assert len(queue) == len(put) - len(got)
    while len(queue):
        got += queue.first()
        queue.drop(len(queue.first()))

    assert got == put


def test_it_is_on_disk_beyond_the_limit() -> None:
    """And in memory again when it was empty."""
    queue = Spool()
    queue.put(b"a" * 90)
    assert queue._file is None
    queue.put(b"b" * 20)
    assert queue._file is not None
    assert sum(map(len, queue._parts)) == 90
    while len(queue):
        queue.drop(len(queue.first()))
    assert queue._file is None
    queue.put(b"c")

    assert (queue.first(), queue._file) == (b"c", None)


def test_it_may_be_dropped_whole() -> None:
    """Twice changes nothing."""
    queue = Spool()
    queue.put(b"a" * 500)
    queue.close()
    queue.close()

    assert (len(queue), queue.first()) == (0, b"")
