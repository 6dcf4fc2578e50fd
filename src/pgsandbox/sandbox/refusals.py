"""What a sandboxed test is told when its one connection can't do what was asked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from pgsandbox.errors import (
    DeferredConstraintViolated,
    EscapedFromSandbox,
    Fact,
    FixtureTooLate,
    NotInSandbox,
    OuterTransactionEnded,
    SandboxLost,
)
from pgsandbox.sandbox.frames import Executed

CLONE = (
    'Give the test a database of its own: @pytest.mark.pgsandbox(isolation="clone"). '
    "There transactions are real."
)

NEW_ENUM_VALUE = (
    "pgsandbox: PostgreSQL uses a new value of an enum only after a real commit, and a sandboxed "
    f"test never commits. {CLONE}"
)
CURSOR_CLOSED = (
    "pgsandbox: another connection's rollback closes a server-side cursor that was opened after "
    f"that connection wrote, since both share one transaction here. {CLONE}"
)
NOTES = {"55P04": NEW_ENUM_VALUE, "34000": CURSOR_CLOSED}
"""Added to PostgreSQL's own errors, by their SQLSTATE."""
ENDS_TRANSACTIONS = frozenset({"25001", "2D000"})
"""SQLSTATEs of what needs to be outside of a transaction, or to end one inside of a procedure."""


def raw_control(text: str, label: str, test: str) -> OuterTransactionEnded:
    """Refuse a raw COMMIT or ROLLBACK that was not sent."""
    return OuterTransactionEnded(
        f"Raw SQL tried to end the transaction that holds the test: {text.strip()!r}. "
        "It was not sent.",
        facts=[Fact("test", test), Fact("connection", label)],
        remedy=(
            "Call commit() or rollback() on the session or connection; the driver began this "
            f"transaction, and raw SQL ends it behind the driver's back. {CLONE}"
        ),
    )


def not_in_transaction(text: str, test: str) -> NotInSandbox:
    """Refuse a statement that PostgreSQL runs outside of transactions only."""
    return NotInSandbox(
        "PostgreSQL can't run this statement inside a transaction, and a sandboxed test is one.",
        facts=[Fact("test", test), Fact("statement", text.strip())],
        remedy=CLONE,
    )


def isolation_level(asked: str, label: str, test: str) -> NotInSandbox:
    """Refuse a snapshot of a transaction's own."""
    return NotInSandbox(
        f"A sandboxed test can't give {asked}: all its transactions share one, which is READ "
        "COMMITTED.",
        facts=[Fact("test", test), Fact("connection", label)],
        remedy=CLONE,
    )


def connection_class(asked: Any, test: str) -> NotInSandbox:
    """Refuse to stand in for a class of connections that the sandbox does not know."""
    name = getattr(asked, "__qualname__", repr(asked))
    return NotInSandbox(
        f"The sandbox can't stand in for connections of the class {name}, which "
        "`connection_factory` or `creator` asked for.",
        facts=[Fact("test", test)],
        remedy=f"Use psycopg2's own classes. {CLONE}",
    )


def client_encoding(asked: str, test: str) -> NotInSandbox:
    """Refuse another encoding for one of the connections that share the physical one."""
    return NotInSandbox(
        f"A sandboxed test can't use the client encoding {asked}: its connections share one, which "
        "uses UTF-8.",
        facts=[Fact("test", test)],
        remedy=CLONE,
    )


def listening(text: str, test: str) -> NotInSandbox:
    """Refuse to wait for notifications that nobody will deliver."""
    return NotInSandbox(
        "PostgreSQL delivers notifications when their transaction commits for real, which a "
        "sandboxed test's never does.",
        facts=[Fact("test", test), Fact("statement", text.strip())],
        remedy=CLONE,
    )


def lost(test: str) -> SandboxLost:
    """Say that the physical connection was cut."""
    return SandboxLost(
        "The connection that holds the test was cut, and what the test wrote is gone.",
        facts=[Fact("test", test)],
        remedy=(
            "The server was stopped, or something terminated the session. A test that cuts "
            f"connections on purpose needs real ones. {CLONE}"
        ),
    )


def cut(label: str, test: str) -> SandboxLost:
    """Refuse to go on in a transaction whose test is over."""
    return SandboxLost(
        "A thread went on in a transaction that began in a test which is over. What it wrote there "
        "was rolled back with that test, and no other test is to see the rest.",
        facts=[
            Fact("began in", test),
            Fact("connection", label),
            Fact("thread", threading.current_thread().name),
        ],
        remedy="Join the threads that a test starts before it ends.",
    )


def busy(text: str, test: str) -> NotInSandbox:
    """Refuse a statement in the middle of another connection's COPY."""
    return NotInSandbox(
        "A statement was sent while another connection of the test was in the middle of one, a "
        "COPY for example, and the connections of a sandboxed test share one.",
        facts=[Fact("test", test), Fact("still running", text.strip())],
        remedy=f"Read what is to be copied before the COPY begins. {CLONE}",
    )


def outer_ended(text: str | None, test: str) -> OuterTransactionEnded:
    """Say which statement ended the outer transaction."""
    return OuterTransactionEnded(
        "A statement ended the transaction that holds the test, so what it wrote before was "
        "committed or lost for real. The database is made anew before the next test.",
        facts=[Fact("test", test), Fact("statement", text or "unknown")],
        remedy=f"Use the connection's commit() and rollback(). {CLONE}",
    )


def still_running(text: str | None, test: str) -> EscapedFromSandbox:
    """Say which statement outlived its test."""
    return EscapedFromSandbox(
        "A statement of the test was still running after the test had ended, so it was cancelled.",
        facts=[Fact("test", test), Fact("statement", text or "unknown")],
        remedy="Join the threads that the test starts before it ends.",
    )


def deferred(server_said: str, test: str) -> DeferredConstraintViolated:
    """Say which deferred constraint the rows of the test break."""
    return DeferredConstraintViolated(
        "Rows of the test break a deferred constraint, which no commit has checked.",
        facts=[Fact("test", test), Fact("server said", server_said.strip())],
        remedy=(
            "In production the COMMIT would fail. Commit in the test, and assert on the "
            "IntegrityError, or make the rows complete."
        ),
    )


def too_late(fixture: str, test: str, executed: Sequence[Executed]) -> FixtureTooLate:
    """Refuse to set up a wider fixture whose rows would go with the test's."""
    last = " ".join(executed[-1].text.split())[:200] if executed else "unknown"
    return FixtureTooLate(
        "A fixture of a wider scope opened the database after the test had written to it. What the "
        "fixture makes is to stay when the test is rolled back, so it has to come first.",
        facts=[Fact("fixture", fixture), Fact("test", test), Fact("sent before", last)],
        remedy=(
            "Name the fixture among the arguments of the test, or of the fixture that needs it, "
            "instead of calling request.getfixturevalue: pytest sets up wider scopes first."
        ),
    )


def in_child_process(process: int, test: str) -> NotInSandbox:
    """Refuse a connection that a forked process inherited."""
    return NotInSandbox(
        "A child process used a connection of its parent's sandbox.",
        facts=[Fact("test", test), Fact("process", str(process))],
        remedy=f"Other processes can't see inside a transaction. {CLONE}",
    )
