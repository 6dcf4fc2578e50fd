"""What a SQL text does to a transaction, read from its first words.

The sandbox has to know four things before it sends a statement: whether it is transaction control
(which it must not send), a savepoint (which it must rename), a plain read (which leaves nothing to
undo), or anything else. Nothing here parses SQL: where the first words leave a doubt, the answer is
the careful one, `WRITE`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache


class Kind(Enum):
    """What a statement means to the transaction it runs in."""

    READ = "read"
    """Leaves nothing that a rollback would have to undo."""
    LOCKING_READ = "locking read"
    """A read that takes row locks, which one connection never waits for."""
    WRITE = "write"
    """May leave something that a rollback has to undo."""
    SAVEPOINT = "savepoint"
    RELEASE = "release"
    ROLLBACK_TO = "rollback to"
    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    PREPARE_TRANSACTION = "prepare transaction"
    NOT_IN_TRANSACTION = "not in a transaction"
    """PostgreSQL refuses it inside a transaction block, so only a clone can run it."""
    MODE = "mode"
    """Sets whether the transaction, or each one of the session, may write."""
    SNAPSHOT = "snapshot"
    """Asks for a snapshot of the transaction's own: REPEATABLE READ or SERIALIZABLE."""
    LISTEN = "listen"
    """Waits for what is delivered when a transaction commits for real."""


CONTROL = frozenset(
    {
        Kind.SAVEPOINT,
        Kind.RELEASE,
        Kind.ROLLBACK_TO,
        Kind.BEGIN,
        Kind.COMMIT,
        Kind.ROLLBACK,
        Kind.PREPARE_TRANSACTION,
    }
)
"""Statements that never reach the server as they are."""


@dataclass(frozen=True)
class Statement:
    """One SQL text and what it does."""

    text: str
    kind: Kind
    savepoint: str | None = None
    """The name that a savepoint statement carries, folded as the server folds it."""

    @cached_property
    def may_define(self) -> bool:
        """Whether it may create, change or drop something that has a name."""
        return self.kind is Kind.WRITE and _DEFINES.search(self.text) is not None

    @cached_property
    def names_advisory_locks(self) -> bool:
        """Whether it may take a lock that outlives its transaction."""
        return "advisory" in self.text.lower()


def classify(text: str) -> Statement:
    """Return what *text* does to its transaction."""
    # A long text is made of values and does not come again.
    return _classify(text) if len(text) < _LONG else _classify.__wrapped__(text)


@lru_cache(maxsize=2048)
def _classify(text: str) -> Statement:  # noqa: PLR0911  # one answer a line reads best
    bare = _without_comments(text).strip().rstrip(";").strip()
    if _SNAPSHOT.match(bare):
        return Statement(text, Kind.SNAPSHOT)
    if _MODE.fullmatch(bare):
        return Statement(text, Kind.MODE)
    control = _CONTROL.fullmatch(bare)
    if control:
        return _control(text, control)
    word = _FIRST_WORD.match(bare)
    first = word.group(1).lower() if word else ""
    if _NEEDS_NO_TRANSACTION.match(bare):
        return Statement(text, Kind.NOT_IN_TRANSACTION)
    if first == "listen":
        return Statement(text, Kind.LISTEN)
    if first == "select":
        if _WRITES_IN_SELECT.search(bare):
            return Statement(text, Kind.WRITE)
        locking = _ROW_LOCK.search(bare)
        return Statement(text, Kind.LOCKING_READ if locking else Kind.READ)
    if first in _READS or (first in ("set", "reset") and _SETS.match(bare)):
        return Statement(text, Kind.READ)
    if first in ("with", "explain") and not _WRITES_ANYWHERE.search(bare):
        return Statement(text, Kind.LOCKING_READ if _ROW_LOCK.search(bare) else Kind.READ)
    return Statement(text, Kind.WRITE)


def is_transaction_control(text: str) -> bool:
    """Whether *text* is nothing but transaction control: BEGIN, COMMIT, a savepoint and so on."""
    return classify(text).kind in CONTROL


def ends_a_transaction(text: str) -> bool:
    """Whether *text*, which may hold several statements, could end a transaction."""
    return _ENDS.search(_without_comments(text)) is not None


def _control(  # noqa: PLR0911  # one answer a line reads best
    text: str, match: re.Match[str]
) -> Statement:
    if name := match.group("savepoint"):
        return Statement(text, Kind.SAVEPOINT, _folded(name))
    if name := match.group("release"):
        return Statement(text, Kind.RELEASE, _folded(name))
    if name := match.group("rollback_to"):
        return Statement(text, Kind.ROLLBACK_TO, _folded(name))
    if match.group("begin"):
        return Statement(text, Kind.BEGIN)
    if match.group("commit"):
        return Statement(text, Kind.COMMIT)
    if match.group("prepare"):
        return Statement(text, Kind.PREPARE_TRANSACTION)
    return Statement(text, Kind.ROLLBACK)


def _folded(identifier: str) -> str:
    if identifier.startswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier.lower()


def _without_comments(text: str) -> str:
    """Return *text* with a space for each comment; comments may stand inside of comments."""
    before = None
    while before != text:
        before, text = text, _COMMENT.sub(" ", text)
    return text


_LONG = 20_000
_COMMENT = re.compile(r"--[^\n]*|/\*(?:(?!/\*).)*?\*/", re.DOTALL)
_FIRST_WORD = re.compile(r"[\s(]*([A-Za-z]+)")
_NAME = r'("(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
_NOISE = r"(?:\s+(?:WORK|TRANSACTION))?(?:\s+AND\s+(?:NO\s+)?CHAIN)?"
_CONTROL = re.compile(
    rf"SAVEPOINT\s+(?P<savepoint>{_NAME})"
    rf"|RELEASE\s+(?:SAVEPOINT\s+)?(?P<release>{_NAME})"
    rf"|ROLLBACK\s+(?:(?:WORK|TRANSACTION)\s+)?TO\s+(?:SAVEPOINT\s+)?(?P<rollback_to>{_NAME})"
    r"|(?P<begin>BEGIN\b[\w\s,]*|START\s+TRANSACTION\b[\w\s,]*)"
    rf"|(?P<commit>(?:COMMIT|END){_NOISE})"
    rf"|(?P<rollback>(?:ROLLBACK|ABORT){_NOISE})"
    r"|(?P<prepare>(?:PREPARE\s+TRANSACTION|COMMIT\s+PREPARED|ROLLBACK\s+PREPARED)\s+.*)",
    re.IGNORECASE | re.DOTALL,
)
_NEEDS_NO_TRANSACTION = re.compile(
    r"(?:VACUUM\b|CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\b|DROP\s+INDEX\s+CONCURRENTLY\b"
    r"|REINDEX\b.*\bCONCURRENTLY\b|(?:CREATE|DROP)\s+(?:DATABASE|TABLESPACE)\b"
    r"|ALTER\s+SYSTEM\b|REFRESH\s+MATERIALIZED\s+VIEW\s+CONCURRENTLY\s+\S+\s+WITH\s+NO\b)",
    re.IGNORECASE | re.DOTALL,
)
_READS = frozenset({"show", "values", "table", "fetch", "close", "declare"})
_SETS = re.compile(r"\w+\s+(?!CONSTRAINTS\b)[^;]*\Z", re.IGNORECASE)
_MODE = re.compile(
    r"SET\s+(?:SESSION\s+CHARACTERISTICS\s+AS\s+)?TRANSACTION\s+[\w\s,]+", re.IGNORECASE
)
_SNAPSHOT = re.compile(
    r"(?:BEGIN|START\s+TRANSACTION|SET\s+TRANSACTION|SET\s+SESSION\s+CHARACTERISTICS)\b"
    r"[^;]*\b(?:ISOLATION\s+LEVEL\s+(?:SERIALIZABLE|REPEATABLE)|SNAPSHOT)\b",
    re.IGNORECASE,
)
_ROW_LOCK = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE|KEY\s+SHARE)\b", re.IGNORECASE)
_WRITES_IN_SELECT = re.compile(r"\bINTO\b|;", re.IGNORECASE)
_WRITES_ANYWHERE = re.compile(
    r"\b(?:INSERT|UPDATE(?!\s+(?:SKIP|NOWAIT|OF)\b)(?<!FOR UPDATE)|DELETE|MERGE|INTO)\b|;",
    re.IGNORECASE,
)
_DEFINES = re.compile(r"\b(?:CREATE|ALTER|DROP|DO|CALL)\b", re.IGNORECASE)
_ENDS = re.compile(r"\b(?:COMMIT|ROLLBACK|END|ABORT|PREPARE\s+TRANSACTION)\b", re.IGNORECASE)
