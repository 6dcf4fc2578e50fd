"""What a sandboxed test is told when its one transaction can't do what was asked."""

from __future__ import annotations

import itertools
import re
import traceback
import weakref
from collections.abc import Sequence
from pathlib import Path

from pgsandbox.errors import (
    DatabaseNotRequested,
    DeferredConstraintViolated,
    EscapedFromSandbox,
    Fact,
    FixtureTooLate,
    NotInSandbox,
    OuterTransactionEnded,
    PgSandboxError,
    SandboxLost,
    TransactionsInterleaved,
)
from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.sessions import Executed

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

_SQLSTATES = {"SandboxLost": "57P01", "DatabaseNotRequested": "57P03"}
_FEATURE_NOT_SUPPORTED = "0A000"


def as_message(error: PgSandboxError) -> bytes:
    """Return *error* as an ErrorResponse: its headline, its facts as detail, its remedy as hint."""
    name = type(error).__name__
    facts = "\n".join(f"{fact.name}: {fact.value}" for fact in error.facts)
    return messages.error(
        _SQLSTATES.get(name, _FEATURE_NOT_SUPPORTED),
        f"{name}: {error.headline}",
        D=facts,
        H=error.remedy,
        s="pgsandbox",  # the field "schema name", which no error of the server's own kind has
        n=str(number_of(error)),  # the field "constraint name"
    )


_numbers: weakref.WeakKeyDictionary[PgSandboxError, int] = weakref.WeakKeyDictionary()
_counted = itertools.count(1)


def number_of(error: PgSandboxError) -> int:
    """Return the number by which the test process knows *error*, whichever way it hears of it.

    A test that failed with what its driver raised is not told the same again when it ends.
    """
    if error not in _numbers:
        _numbers[error] = next(_counted)
    return _numbers[error]


def not_in_transaction(text: str, test: str) -> NotInSandbox:
    """Refuse a statement that PostgreSQL runs outside of transactions only."""
    is_about_databases = _OF_DATABASES.match(text) is not None
    return NotInSandbox(
        "PostgreSQL can't run this statement inside a transaction, and a sandboxed test is one.",
        facts=[Fact("test", test), Fact("statement", text.strip())],
        remedy=_NO_DATABASES if is_about_databases else CLONE,
    )


_OF_DATABASES = re.compile(r"\s*(create|drop)\s+database\b", re.IGNORECASE)
_NO_DATABASES = (
    f"{CLONE} What it makes there it must drop. A statement that makes or drops the database of "
    "the tests can be deleted: pgsandbox does that."
)


def snapshot(text: str, test: str) -> NotInSandbox:
    """Refuse to export a snapshot, which another session would take up."""
    return NotInSandbox(
        "A sandboxed test can't export a snapshot: all its transactions share one.",
        facts=[Fact("test", test), Fact("statement", text.strip())],
        remedy=CLONE,
    )


def two_phase(text: str, test: str) -> NotInSandbox:
    """Refuse what outlives a session."""
    return NotInSandbox(
        "A sandboxed test can't hold a two-phase transaction, which outlives its session.",
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


def interleaved(undone: str, other: str) -> TransactionsInterleaved:
    """Say whose rollback would take the rows of somebody else with it."""
    return TransactionsInterleaved(
        "Two transactions interleaved in a way that the one connection of a sandboxed test "
        "can't express: one rolled back, and the other had written after it.",
        facts=[Fact("rolled back", undone), Fact("must stay", other)],
        remedy=(
            "In production the second one's rows would stay. Give the test a database of its "
            'own, with real transactions: @pytest.mark.pgsandbox(isolation="clone"); or end the '
            "first transaction before the second one writes."
        ),
    )


def sequence_state(text: str, label: str, test: str) -> NotInSandbox:
    """Refuse to say what a sequence gave to one client, after others have used sequences."""
    return NotInSandbox(
        "lastval() and currval() belong to one connection, and another one of the test has written "
        "since this one did.",
        facts=[Fact("test", test), Fact("connection", label), Fact("statement", text.strip())],
        remedy=f"Read the value right after the INSERT, or by RETURNING. {CLONE}",
    )


def cursor_closed(name: str, label: str, test: str) -> NotInSandbox:
    """Say that another client's rollback has closed a cursor of this one."""
    return NotInSandbox(
        f'Another connection\'s rollback has closed the cursor "{name}", which was opened after '
        "that connection wrote: both share one transaction here.",
        facts=[Fact("test", test), Fact("connection", label)],
        remedy=CLONE,
    )


def would_wait(what: str, label: str, test: str) -> NotInSandbox:
    """Refuse to wait for what only another client of the same test could end."""
    return NotInSandbox(
        f"The statement would have to wait for {what}, and the connections of a sandboxed test "
        "share one session.",
        facts=[Fact("test", test), Fact("connection", label)],
        remedy=CLONE,
    )


def no_test_is_running(label: str) -> DatabaseNotRequested:
    """Refuse a statement while no test runs that asked for the database."""
    return DatabaseNotRequested(
        "A statement was sent while no test was running that asked for the database, so it was "
        "refused.",
        facts=[Fact("connection", label)],
        remedy="End what a test starts before the test ends: threads, timers, child processes.",
    )


def lost(test: str, error: Exception | None = None) -> SandboxLost:
    """Say that the server connection was cut, and with which *error*, if that tells more."""
    said = [] if error is None else [Fact("server said", str(error))]
    return SandboxLost(
        "The connection that holds the test was cut, and what the test wrote is gone.",
        facts=[Fact("test", test), *said],
        remedy=(
            "The server was stopped, or something terminated the session. A test that cuts "
            f"connections on purpose needs real ones. {CLONE}"
        ),
    )


def broke_down(error: Exception, test: str) -> SandboxLost:
    """Say that the endpoint itself went wrong, and where."""
    places = traceback.extract_tb(error.__traceback__)[-3:]
    where = ", ".join(f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in places)
    return SandboxLost(
        "pgsandbox broke down while it served a connection, so what the test wrote is gone.",
        facts=[
            Fact("test", test),
            Fact("error", f"{type(error).__name__}: {error}"),
            Fact("where", where),
        ],
        remedy="This is a fault of pgsandbox: please report it.",
    )


def cut(label: str, test: str) -> SandboxLost:
    """Refuse to go on in a transaction whose test is over."""
    return SandboxLost(
        "A thread or process went on in a transaction that began in a test which is over. What it "
        "wrote there was rolled back with that test, and no other test is to see the rest.",
        facts=[Fact("began in", test), Fact("connection", label)],
        remedy="Join the threads that a test starts before it ends, and end its processes.",
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
