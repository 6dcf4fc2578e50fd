"""Threads that go on at any time while fixtures of wider scopes begin and end."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox, Start, errors_of, visit


@pytest.mark.parametrize("statement", [None, "INSERT INTO items VALUES (9)"])
def test_what_begins_as_a_fixture_ends_ends_with_it(
    sandbox: Sandbox, statement: str | None
) -> None:
    """The test is over, and its fixture not yet torn down: a thread's transaction is nobody's.

    A thread that has written is told so; one that has only read goes on in what comes next.
    """
    call, maker, thread = sandbox.process.call, *map(_connected, [sandbox] * 2)
    _make(sandbox, maker, "INSERT INTO items VALUES (1)")
    thread.execute("SELECT id FROM items")
    thread.connection.rollback()
    first = _ended(sandbox, "a test")

    thread.execute("SELECT id FROM items")
    if statement is not None:
        thread.execute(statement)
    call("resume", depth=1)
    maker.execute("SELECT id FROM items")
    rows = maker.fetchall()
    if statement is None:
        thread.execute("SELECT id FROM items")
    else:
        with pytest.raises(psycopg2.Error, match="transaction that began in a test which is over"):
            thread.execute("SELECT id FROM items")
    thread.connection.rollback()
    finished = _ended(sandbox, "a fixture")
    thread.execute("SELECT id FROM items")
    thread.connection.rollback()

    assert rows == [(1,)]
    assert errors_of(first) == errors_of(finished) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT current_setting('application_name')",
        "SET application_name TO mine",
        "TRUNCATE items",
        "ALTER TABLE items ADD COLUMN price integer",
        "LOCK TABLE items",
    ],
)
def test_what_a_fixture_does_is_nobody_elses(
    sandbox: Sandbox, database: tuple[str, str], statement: str
) -> None:
    """Somebody connects past the endpoint, which looks for changes, other sessions and locks.

    It meets its own session, by whatever name, and the locks that the fixture holds.
    """
    _make(sandbox, _connected(sandbox, application_name="maker"), statement)
    visit(database)
    first = _test(sandbox)
    sandbox.process.call("resume", depth=1)

    assert errors_of(first) == []


def test_what_somebody_wrote_before_a_fixture_locked_it_is_found_later(
    start_endpoint: Start, database: tuple[str, str]
) -> None:
    """As soon as the lock is gone, which kept everybody from looking."""
    sandbox = start_endpoint()
    sandbox.process.call("enter", test="a test")
    with sandbox.stack:
        visit(database, "INSERT INTO items VALUES (7)")
        _make(sandbox, _connected(sandbox), "LOCK TABLE items")
        first = _test(sandbox)
        sandbox.process.call("resume", depth=1)
    last = sandbox.finish()
    sandbox.process.close()
    visit(database, "DELETE FROM items")

    assert errors_of(first) == []
    (found,) = errors_of(last)
    assert "changed its database" in found
    assert "items: 1 rows written" in found


def _make(sandbox: Sandbox, maker: psycopg2.extensions.cursor, statement: str) -> None:
    """Let a fixture run *statement* by *maker*, and stand."""
    call = sandbox.process.call
    call("set_aside", refusal=None)
    maker.execute(statement)
    maker.connection.commit()
    assert call("freeze") == 1
    call("take_back")


def _test(sandbox: Sandbox) -> dict[str, Any]:
    """What the end of a test finds that only reads."""
    _connected(sandbox).execute("SELECT 1")
    return _ended(sandbox, "a test")


def _ended(sandbox: Sandbox, test: str) -> dict[str, Any]:
    """What the end of *test* finds, on which others follow."""
    found: dict[str, Any] = sandbox.process.call(
        "finish", test=test, by_a_child=False, is_over=False
    )
    return found


def _connected(sandbox: Sandbox, **more: str) -> psycopg2.extensions.cursor:
    connection = sandbox.stack.enter_context(psycopg2.connect(**sandbox.dsn, **more))
    return connection.cursor()
