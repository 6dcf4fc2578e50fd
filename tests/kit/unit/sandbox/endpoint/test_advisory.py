"""Advisory locks between the clients of one test: who holds what, and who waits for whom."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pgsandbox.sandbox.endpoint.advisory import AdvisoryCall, AdvisoryLocks, Answer, call_of
from pgsandbox.sandbox.endpoint.failures import StatementFailed, Waiting
from pgsandbox.sandbox.endpoint.statements import classify


class _Server:
    """What was sent to the server."""

    is_lost = False

    def __init__(self) -> None:
        self.queued: list[str] = []

    def queue(self, sql: str) -> None:
        self.queued.append(sql)


class _Client:
    """Stands where a client's session does, of which the table only wants its server."""

    def __init__(self, server: _Server) -> None:
        self.database = SimpleNamespace(server=server)
        self.session = SimpleNamespace(depth=lambda: 0)


class _Table:
    """One table of locks, and clients by their letters."""

    def __init__(self) -> None:
        self.server = _Server()
        self.locks = AdvisoryLocks()
        self.clients: dict[str, Any] = {each: _Client(self.server) for each in "abcd"}

    def do(self, who: str, function: str, key: int = 1) -> str:
        """What *who* gets: ``server``, ``waits``, ``deadlock``, or the value of the answer."""
        call = _call(f"SELECT pg_{function}({'' if function.endswith('all') else key})")
        try:
            client = self.clients[who]
            answer = self.locks.decide(client, call, (str(key),))
            if isinstance(
                answer, tuple
            ):  # of a transaction: the server was asked for the session's
                self.locks.take_for_transaction(client, call, answer, "t")
                return "server"
        except Waiting:
            return "waits"
        except StatementFailed as failed:
            return "deadlock" if b"40P01" in failed.response else "another error"
        return "server" if answer is None else answer.value

    def is_free_for(self, who: str) -> bool:
        return self.locks.is_free_for(self.clients[who])


@pytest.fixture
def table() -> _Table:
    """No lock is held."""
    return _Table()


def _call(text: str) -> AdvisoryCall:
    found = call_of(classify(text))
    assert found is not None
    return found


def test_a_lock_belongs_to_its_holder(table: _Table) -> None:
    """As often as it took it; then it is free."""
    assert [table.do("a", "advisory_lock") for _ in range(2)] == ["server", "server"]
    assert table.do("b", "advisory_lock") == "waits"
    assert table.do("c", "try_advisory_lock") == "f"
    assert table.do("c", "advisory_lock", 2) == "server"
    assert table.do("a", "advisory_unlock") == "server"
    assert not table.is_free_for("b")
    assert table.do("a", "advisory_unlock") == "server"
    assert table.is_free_for("b")
    assert table.do("b", "advisory_lock") == "server"
    assert table.is_free_for("b")
    assert table.do("a", "advisory_unlock") == "f"


def test_no_key_is_no_lock(table: _Table) -> None:
    """The functions are strict, and the server says what comes of it."""
    call = _call("SELECT pg_advisory_lock(NULL)")

    assert table.locks.decide(table.clients["a"], call, (None,)) is None
    assert table.do("b", "try_advisory_lock", 0) == "server"


def test_a_call_that_failed_counts_for_nothing(table: _Table) -> None:
    """Neither a lock nor its end."""
    table.do("a", "advisory_lock")
    table.locks.call_failed(table.clients["a"])
    assert table.do("b", "try_advisory_lock") == "server"

    table.do("b", "advisory_unlock")
    table.locks.call_failed(table.clients["b"])
    assert table.do("a", "try_advisory_lock") == "f"


def test_readers_share(table: _Table) -> None:
    """With each other, and with nobody else; one of them may go on to write when alone."""
    assert (
        table.do("a", "advisory_lock_shared") == table.do("b", "advisory_lock_shared") == "server"
    )
    assert table.do("c", "try_advisory_lock") == "f"
    assert table.do("a", "try_advisory_lock") == "f"
    table.do("b", "advisory_unlock_shared")
    assert table.do("a", "try_advisory_lock") == "server"
    assert table.do("b", "advisory_lock_shared") == "waits"
    assert table.do("c", "advisory_lock_shared") == "waits"
    table.do("a", "advisory_unlock")
    assert table.is_free_for("b")
    assert table.do("b", "advisory_lock_shared") == "server"
    assert table.is_free_for("c")


def test_a_lock_of_a_transaction_ends_with_it(table: _Table) -> None:
    """And a session's does not."""
    table.do("a", "advisory_xact_lock", 1)
    table.do("a", "advisory_lock", 2)
    assert table.do("a", "advisory_unlock", 1) == "f"
    table.locks.transaction_ended(table.clients["a"])

    assert table.do("b", "try_advisory_lock", 1) == "server"
    assert table.do("b", "try_advisory_lock", 2) == "f"


def test_who_goes_gives_back_what_it_held(table: _Table) -> None:
    """On the server, too, each as often as it was taken and in its mode."""
    for function in ("advisory_lock", "advisory_lock", "advisory_lock_shared"):
        table.do("a", function)
    table.do("b", "advisory_lock", 2)
    table.locks.release_all(table.clients["a"])

    assert table.server.queued == [
        "SELECT pg_catalog.pg_advisory_unlock(1)",
        "SELECT pg_catalog.pg_advisory_unlock(1)",
        "SELECT pg_catalog.pg_advisory_unlock_shared(1)",
    ]
    assert table.do("b", "try_advisory_lock", 1) == "server"
    assert table.do("a", "try_advisory_lock", 2) == "f"


def test_a_circle_is_a_deadlock(table: _Table) -> None:
    """Of two or of three; who closes it hears of it, and the others wait on."""
    for key, who in enumerate("abc"):
        table.do(who, "advisory_lock", key)
    assert table.do("a", "advisory_lock", 1) == "waits"
    assert table.do("b", "advisory_lock", 2) == "waits"
    assert table.do("c", "try_advisory_lock", 0) == "f"
    assert table.do("c", "advisory_lock", 0) == "deadlock"
    assert not table.is_free_for("b")
    assert table.do("d", "advisory_lock", 0) == "waits"


def test_a_circle_through_a_shared_lock(table: _Table) -> None:
    """Two readers that both want to write."""
    table.do("a", "advisory_lock_shared")
    table.do("b", "advisory_lock_shared")

    assert table.do("a", "advisory_lock") == "waits"
    assert table.do("b", "advisory_lock") == "deadlock"


def test_nothing_is_held_after_a_test(table: _Table) -> None:
    """And nobody waits."""
    table.do("a", "advisory_lock")
    table.do("b", "advisory_lock")
    table.locks.forget()

    assert table.locks.waiting == {}
    assert table.do("c", "try_advisory_lock") == "server"


@pytest.mark.parametrize(
    ("text", "column", "keys"),
    [
        ("select pg_advisory_lock(1)", "pg_advisory_lock", "((1)::bigint)::text"),
        (
            'SELECT pg_catalog.pg_try_advisory_lock(1, f(2, 3)) AS "Got it";',
            "Got it",
            "((1)::int)::text, (( f(2, 3))::int)::text",
        ),
        ("select pg_advisory_xact_lock($1) locked", "locked", "(($1)::bigint)::text"),
        ("select pg_advisory_unlock_all()", "pg_advisory_unlock_all", "1"),
    ],
)
def test_calls(text: str, column: str, keys: str) -> None:
    """Alone in their statement."""
    found = _call(text)

    assert (found.column, found.key_query) == (column, keys)


@pytest.mark.parametrize(
    "text",
    [
        "select pg_advisory_lock()",
        "select pg_advisory_lock(1, 2, 3)",
        "select pg_advisory_lock(1), 2",
        "select pg_advisory_lock(id) from items",
        "select 'pg_advisory_lock(1)'",
        "select 1 where pg_try_advisory_lock(1)",
        "select pg_advisory_unlock_all(1)",
    ],
)
def test_what_is_none(text: str) -> None:
    """The server answers it."""
    assert call_of(classify(text)) is None


def test_an_answer_in_both_formats() -> None:
    """One row of one column, described or not."""
    answer = Answer("x", 16, "f")

    assert answer.row().startswith(b"D\0\0\0\x0b\0\1\0\0\0\1f")
    assert answer.row(is_binary=True).startswith(b"D\0\0\0\x0b\0\1\0\0\0\1\0")
    assert answer.described().endswith(answer.row())
