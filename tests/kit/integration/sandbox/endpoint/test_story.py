"""What is told of each statement: how it was answered, and in which transaction it was sent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox

Connect = Callable[[], psycopg.Connection[Any]]


@pytest.fixture
def connect(sandbox: Sandbox) -> Connect:
    """One more client, which is in no transaction block."""

    def connect() -> psycopg.Connection[Any]:
        return sandbox.stack.enter_context(psycopg.connect(**sandbox.dsn, autocommit=True))

    return connect


def _told(sandbox: Sandbox) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = sandbox.process.call("story")["statements"]
    return told


_OF_SESSIONS = [
    ("listen news", "LISTEN"),
    ("notify news", "NOTIFY"),
    ("unlisten *", "UNLISTEN"),
    ("reset all", "RESET"),
    ("close all", "CLOSE CURSOR ALL"),
    ("deallocate all", "DEALLOCATE ALL"),
    ("set transaction_read_only = off", "SET"),
    ("select pg_advisory_lock(1)", "SELECT 1"),
    ("discard all", "DISCARD ALL"),
]
"""What the endpoint answers, with what the client is told."""


@pytest.mark.parametrize("is_extended", [False, True], ids=["simple", "extended"])
def test_what_the_endpoint_answers(sandbox: Sandbox, connect: Connect, is_extended: bool) -> None:
    """Each has the tag that the client got, and was committed by itself."""
    client = connect()
    got = [client.execute(each, prepare=is_extended).statusmessage for each, _ in _OF_SESSIONS]
    texts = {text for text, _ in _OF_SESSIONS}  # psycopg deallocates after some of them
    told = [each for each in _told(sandbox) if each["text"] in texts]

    assert got == [tag for _, tag in _OF_SESSIONS]
    assert [(each["text"], each["tag"]) for each in told] == _OF_SESSIONS
    assert {each["outcome"] for each in told} == {"committed"}
    assert len({each["transaction"] for each in told}) == len(told)


def test_what_is_in_a_block_ends_with_it(sandbox: Sandbox, connect: Connect) -> None:
    """It is open as long as the block is."""
    client = connect()
    with contextlib.suppress(psycopg.Rollback), client.transaction():
        client.execute("listen news")
        before = [each["outcome"] for each in _told(sandbox) if each["tag"] == "LISTEN"]
        raise psycopg.Rollback
    client.execute("listen news")
    after = [each["outcome"] for each in _told(sandbox) if each["tag"] == "LISTEN"]

    assert before == ["open"]
    assert after == ["rolled back", "committed"]


@pytest.mark.parametrize("is_extended", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize(
    ("refused", "code"),
    [
        ("vacuum items", "0A000"),
        ("set transaction isolation level serializable; select 1 from items", "0A000"),
        ("copy nothing from stdin", "42P01"),
    ],
)
def test_what_the_endpoint_refuses(
    sandbox: Sandbox, connect: Connect, refused: str, code: str, is_extended: bool
) -> None:
    """It is told as refused, and the next statement has an answer of its own."""
    client = connect()
    with pytest.raises(psycopg.Error):
        client.execute(refused, prepare=is_extended and ";" not in refused)
    client.execute("insert into items values (1, 'tea')", prepare=is_extended)
    *_, failed, last = _told(sandbox)

    assert failed["tag"] == ""
    assert failed["error"]["C"] == code
    assert (last["tag"], last["error"]) == ("INSERT 0 1", None)


def test_a_call_that_the_endpoint_answers_takes_nobody_elses_answer(
    sandbox: Sandbox, connect: Connect
) -> None:
    """The first client has the lock, so that the second one's call is not sent."""
    first, second = connect(), connect()
    first.execute("select pg_advisory_lock(1)")
    second.execute("select pg_try_advisory_lock(1)")
    second.execute("insert into items values (1, 'tea')")
    told = [each["tag"] for each in _told(sandbox)]
    first.execute("select pg_advisory_unlock(1)")

    assert told == ["SELECT 1", "SELECT 1", "INSERT 0 1"]
