"""What a SQL statement does to its transaction and to its session, read from its words.

The test transaction has to know before it sends a statement: whether it is transaction control
(which is never sent as it stands), a plain read (which leaves nothing to undo), something that
belongs to one session (which the endpoint keeps apart for each client), or anything else. Nothing
here parses SQL: where the words leave a doubt, the answer is the careful one, ``WRITE``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache

from pgsandbox.sandbox.endpoint import lexer, own_state


class Kind(Enum):
    """What a statement means to the transaction and the session it runs in."""

    READ = "read"
    """Leaves nothing that a rollback would have to undo."""
    LOCKING_READ = "locking read"
    """A read that takes row locks, which one session never waits for."""
    WRITE = "write"
    """May leave something that a rollback has to undo."""
    SAVEPOINT = "savepoint"
    RELEASE = "release"
    ROLLBACK_TO = "rollback to"
    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    TWO_PHASE = "two-phase"
    """PREPARE TRANSACTION and what ends one: it outlives a session, so no sandbox holds it."""
    NOT_IN_TRANSACTION = "not in a transaction"
    """PostgreSQL refuses it inside a transaction block, so only a clone can run it."""
    MODE = "mode"
    """Sets whether the transaction, or each one of the session, may write."""
    SNAPSHOT = "snapshot"
    """Asks for a snapshot of the transaction's own: REPEATABLE READ or SERIALIZABLE."""
    LISTEN = "listen"
    UNLISTEN = "unlisten"
    NOTIFY = "notify"
    PREPARE = "prepare"
    EXECUTE = "execute"
    DEALLOCATE = "deallocate"
    DISCARD = "discard"
    DECLARE = "declare"
    """Opens a cursor."""
    CURSOR = "cursor"
    """Uses or closes a cursor: FETCH, MOVE, CLOSE."""
    COPY_IN = "copy in"
    """COPY FROM STDIN: the client sends the rows."""
    RESET_ALL = "reset all"
    CLOSE_ALL = "close all"
    LOCK_TABLE = "lock table"
    """A write that PostgreSQL allows in transaction blocks only."""


CONTROL = frozenset(
    {
        Kind.SAVEPOINT,
        Kind.RELEASE,
        Kind.ROLLBACK_TO,
        Kind.BEGIN,
        Kind.COMMIT,
        Kind.ROLLBACK,
        Kind.TWO_PHASE,
    }
)
"""Transaction control."""

ANSWERED_HERE = CONTROL | {
    Kind.NOT_IN_TRANSACTION,
    Kind.SNAPSHOT,
    Kind.MODE,
    Kind.LISTEN,
    Kind.UNLISTEN,
    Kind.NOTIFY,
    Kind.DEALLOCATE,
    Kind.DISCARD,
    Kind.RESET_ALL,
    Kind.CLOSE_ALL,
}
"""What the endpoint answers without sending the statement."""

PLAIN = frozenset({Kind.READ, Kind.LOCKING_READ, Kind.WRITE})
"""What can be sent with others in one text."""


@dataclass(frozen=True)
class Statement:
    """One SQL statement and what it does."""

    text: str
    kind: Kind
    name: str | None = None
    """What it names, folded as the server folds it: a savepoint, cursor, statement, channel."""
    offset: int = 0
    """How many characters stand before it in the text that it was sent in."""
    has_escapes: bool = False
    """Whether backslashes mean something in all of its strings."""

    @cached_property
    def bare(self) -> str:
        """The text without comments and strings."""
        return lexer.without_literals(self.text, has_escapes=self.has_escapes)

    @cached_property
    def is_ordinary(self) -> bool:
        """Whether no word of it can belong to anything that the questions below are about."""
        words = self.words.lower()
        updated = _UPDATE.match(words)
        if updated is None:
            is_ordinary = not _is_unusual(words)
        else:
            is_ordinary = not _is_unusual(f"{updated[1]} {words[updated.end() :]}")
        if is_ordinary:
            self.__dict__.update(_OF_ORDINARY)  # it need not be asked
        return is_ordinary

    @cached_property
    def sets(self) -> str:
        """The text in which to look for parameters that it sets; empty where there are none."""
        return "" if self.is_ordinary else self.words

    @cached_property
    def words(self) -> str:
        """The text without long values, in which nothing is named that the kit looks for."""
        if len(self.text) < lexer.LONG or not _HOLDS_VALUES.match(self.text):
            return self.text
        text = lexer.without_long_literals(self.text, has_escapes=self.has_escapes)
        return self.text if "set_config" in text.lower() else text

    @cached_property
    def may_define(self) -> bool:
        """Whether it may create, change or drop something that has a name."""
        if self.kind is not Kind.WRITE or self.is_ordinary:
            return False
        return _DEFINES.search(self.bare) is not None

    @cached_property
    def names_advisory_locks(self) -> bool:
        """Whether it may take a lock that outlives its transaction."""
        return not self.is_ordinary and _ADVISORY.search(self.words) is not None

    @cached_property
    def names_temporary(self) -> bool:
        """Whether it may make a temporary table."""
        return not self.is_ordinary and _TEMPORARY.search(self.bare) is not None

    @cached_property
    def names_sequence_state(self) -> bool:
        """Whether it asks for what sequences gave to this session."""
        return not self.is_ordinary and _SEQUENCE_STATE.search(self.bare) is not None

    @cached_property
    def takes_numbers(self) -> bool:
        """Whether it takes numbers of sequences."""
        if self.is_ordinary and (word := _DATA.match(self.text)):
            return word[1].lower() == "insert"
        return _TAKES_NUMBERS.search(self.bare) is not None

    @cached_property
    def names_own_state(self) -> bool:
        """Whether it asks for, or tells, what the server keeps for its own session."""
        if self.is_ordinary or own_state.NAMED.search(self.words) is None:
            return False
        return self._in_other_words is not None

    @property
    def _in_other_words(self) -> own_state.Rewriting | None:
        return own_state.rewriting_of(self.text)

    @cached_property
    def writes_notifications_down(self) -> bool:
        """Whether it writes down what it notifies, in the words that it is sent in."""
        other = self._in_other_words if self.names_own_state else None
        return other is not None and "pgsandbox.notified" in other.text

    @cached_property
    def ends_sessions(self) -> bool:
        """Whether it writes down which clients it ends, in the words that it is sent in."""
        other = self._in_other_words if self.names_own_state else None
        return other is not None and "pgsandbox.ended" in other.text

    @cached_property
    def writes_in_catalog_functions(self) -> bool:
        """Whether a read calls a function of PostgreSQL's own that writes what rolls back."""
        return not self.is_ordinary and _WRITING_FUNCTIONS.search(self.bare) is not None

    @cached_property
    def sets_constraints(self) -> bool:
        """Whether it is SET CONSTRAINTS, which holds until its transaction ends."""
        return not self.is_ordinary and _SET_CONSTRAINTS.match(self.bare) is not None

    @cached_property
    def takes_snapshot(self) -> bool:
        """Whether it looks at rows, so that its transaction's modes are fixed."""
        return _DATA.match(self.text) is not None or _UTILITY.match(self.bare) is None

    @cached_property
    def is_set_local(self) -> bool:
        """Whether it is SET LOCAL, which does nothing outside of a transaction block."""
        return not self.is_ordinary and _SET_LOCAL.match(self.bare) is not None


def _is_unusual(lowered: str) -> bool:
    if any(word in lowered for word in _UNUSUAL):
        return True
    return any(
        word in lowered and pattern.search(lowered) for word, pattern in _UNUSUAL_WORDS.items()
    )


def split(text: str, *, has_escapes: bool = False) -> tuple[Statement, ...]:
    """Return the statements of *text*, which may hold several, and *has_escapes* in all strings."""
    # A long text is made of values and does not come again.
    known = _split if len(text) < lexer.LONG else _split.__wrapped__
    return known(text, has_escapes)


@lru_cache(maxsize=4096)
def _split(text: str, has_escapes: bool) -> tuple[Statement, ...]:
    if ";" not in text and _DATA.match(text):
        return (Statement(text, Kind.WRITE, has_escapes=has_escapes),)
    pieces = lexer.statements(text, has_escapes=has_escapes)
    return tuple(_classified(piece, offset, has_escapes) for offset, piece in pieces)


def classify(text: str) -> Statement:
    """Return *text* as one statement; it is a WRITE where it holds several."""
    found = split(text)
    return found[0] if len(found) == 1 else Statement(text, together(found))


def together(statements: Iterable[Statement]) -> Kind:
    """Return what *statements* do when they are sent as one."""
    kinds = {_as_sent(each.kind) for each in statements}
    return kinds.pop() if len(kinds) == 1 else Kind.WRITE


def is_transaction_control(text: str) -> bool:
    """Whether *text* is nothing but transaction control: BEGIN, COMMIT, a savepoint and so on."""
    found = split(text)
    return bool(found) and all(each.kind in CONTROL or _is_begin(each) for each in found)


def _is_begin(statement: Statement) -> bool:
    return statement.kind is Kind.SNAPSHOT and statement.bare.lstrip()[:5].upper() != "SET T"


def _as_sent(kind: Kind) -> Kind:
    if kind in PLAIN:
        return kind
    return Kind.READ if kind in _AS_READS else Kind.WRITE


_AS_READS = frozenset({Kind.CURSOR, Kind.DECLARE, Kind.PREPARE})


def sent_as(kind: Kind) -> Kind:
    """Return what a statement of *kind* leaves behind once it was sent: one of `PLAIN`."""
    return _as_sent(kind)


def _classified(text: str, offset: int, has_escapes: bool) -> Statement:
    bare = lexer.without_literals(text, has_escapes=has_escapes).strip()
    kind, name = _kind_of(bare)
    return Statement(text, kind, name, offset, has_escapes)


def _kind_of(bare: str) -> tuple[Kind, str | None]:  # noqa: C901, PLR0911, PLR0912  # one answer a line
    word = _FIRST_WORD.match(bare)
    first = word.group(1).lower() if word else ""
    if first == "select":
        lowered = bare.lower()
        if ";" in bare or ("into" in lowered and _INTO.search(lowered)):
            return Kind.WRITE, None
        locks_rows = "for" in lowered and _ROW_LOCK.search(bare)
        return (Kind.LOCKING_READ if locks_rows else Kind.READ), None
    if first in _DATA_WORDS:
        return Kind.WRITE, None
    if first in ("with", "explain"):
        if _WRITES_ANYWHERE.search(bare):
            return Kind.WRITE, None
        if _EXECUTES.search(bare):
            return Kind.EXECUTE, _folded(_EXECUTES.search(bare)[1])  # type: ignore[index]
        return (Kind.LOCKING_READ if _ROW_LOCK.search(bare) else Kind.READ), None
    if _SNAPSHOT.match(bare):
        return Kind.SNAPSHOT, None
    if _MODE.fullmatch(bare):
        return Kind.MODE, None
    control = _CONTROL.fullmatch(bare)
    if control:
        return _control(control)
    if _NEEDS_NO_TRANSACTION.match(bare):
        return Kind.NOT_IN_TRANSACTION, None
    for kind, pattern in _NAMING.items():
        named = pattern.match(bare)
        if named:
            return kind, _folded(named[1]) if named[1] else None
    if _COPY_IN.match(bare):
        return Kind.COPY_IN, None
    if first in _READS or (first in ("set", "reset") and _SETS.match(bare)):
        return Kind.READ, None
    if _EXECUTES.search(bare):
        return Kind.EXECUTE, _folded(_EXECUTES.search(bare)[1])  # type: ignore[index]
    return (Kind.LOCK_TABLE if first == "lock" else Kind.WRITE), None


def _control(match: re.Match[str]) -> tuple[Kind, str | None]:
    for group, kind in _NAMED_CONTROL.items():
        if name := match.group(group):
            return kind, _folded(name)
    for group, kind in _OTHER_CONTROL.items():
        if match.group(group):
            return kind, None
    return Kind.TWO_PHASE, None


def _folded(identifier: str) -> str:
    if identifier.startswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier.lower()


_DATA = re.compile(r"\s*(INSERT|UPDATE|DELETE)\s", re.IGNORECASE)
_HOLDS_VALUES = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|MERGE|SELECT|WITH|VALUES)\b", re.IGNORECASE)
_DATA_WORDS = frozenset({"insert", "update", "delete", "merge"})
_FIRST_WORD = re.compile(r"[\s(]*([A-Za-z]+)")
_NAME = r'("(?:[^"]|"")+"|[^\W\d][\w$]*)'
_NOISE = r"(?:\s+(?:WORK|TRANSACTION))?(?:\s+AND\s+(?:NO\s+)?CHAIN)?"
_CONTROL = re.compile(
    rf"SAVEPOINT\s+(?P<savepoint>{_NAME})"
    rf"|RELEASE\s+(?:SAVEPOINT\s+)?(?P<release>{_NAME})"
    rf"|(?:ROLLBACK|ABORT)\s+(?:(?:WORK|TRANSACTION)\s+)?TO\s+(?:SAVEPOINT\s+)?(?P<rollback_to>{_NAME})"
    r"|(?P<begin>BEGIN\b[\w\s,]*|START\s+TRANSACTION\b[\w\s,]*)"
    rf"|(?P<commit>(?:COMMIT|END){_NOISE})"
    rf"|(?P<rollback>(?:ROLLBACK|ABORT){_NOISE})"
    r"|(?P<prepare>(?:PREPARE\s+TRANSACTION|COMMIT\s+PREPARED|ROLLBACK\s+PREPARED)\s+.*)",
    re.IGNORECASE | re.DOTALL,
)
_NAMED_CONTROL = {
    "savepoint": Kind.SAVEPOINT,
    "release": Kind.RELEASE,
    "rollback_to": Kind.ROLLBACK_TO,
}
_OTHER_CONTROL = {"begin": Kind.BEGIN, "commit": Kind.COMMIT, "rollback": Kind.ROLLBACK}
_NAMING = {
    Kind.LISTEN: re.compile(rf"LISTEN\s+{_NAME}\Z", re.IGNORECASE),
    Kind.UNLISTEN: re.compile(rf"UNLISTEN\s+(?:\*|{_NAME})\Z", re.IGNORECASE),
    Kind.NOTIFY: re.compile(rf"NOTIFY\s+{_NAME}(?!\w)", re.IGNORECASE),
    Kind.DECLARE: re.compile(rf"DECLARE\s+{_NAME}(?!\w)", re.IGNORECASE),
    Kind.CLOSE_ALL: re.compile(r"CLOSE\s+ALL\Z()", re.IGNORECASE),
    Kind.CURSOR: re.compile(
        r"(?:CLOSE\s+|(?:FETCH|MOVE)\b(?:\s+(?:FORWARD|BACKWARD|ABSOLUTE|RELATIVE"
        r"|NEXT|PRIOR|FIRST|LAST|ALL|-?\s*\d+|FROM|IN)\b)*\s*)"
        rf"(?:{_NAME})?\s*\Z",
        re.IGNORECASE,
    ),
    Kind.PREPARE: re.compile(rf"PREPARE\s+{_NAME}", re.IGNORECASE),
    Kind.EXECUTE: re.compile(rf"EXECUTE\s+{_NAME}", re.IGNORECASE),
    Kind.DEALLOCATE: re.compile(rf"DEALLOCATE\s+(?:PREPARE\s+)?(?:ALL\Z|{_NAME}\Z)", re.IGNORECASE),
    Kind.DISCARD: re.compile(
        r"DISCARD\s+(?:ALL|PLANS|SEQUENCES|TEMP|TEMPORARY)\Z()", re.IGNORECASE
    ),
    Kind.RESET_ALL: re.compile(r"RESET\s+ALL\Z()", re.IGNORECASE),
}
"""Statements of one session, with the name that they carry."""
_EXECUTES = re.compile(
    rf"\b(?:EXPLAIN\b.*|CREATE\b.*\bAS\s+)\bEXECUTE\s+{_NAME}", re.IGNORECASE | re.DOTALL
)
_COPY_IN = re.compile(r"COPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
_NEEDS_NO_TRANSACTION = re.compile(
    r"(?:VACUUM\b|CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\b|DROP\s+INDEX\s+CONCURRENTLY\b"
    r"|REINDEX\b.*\bCONCURRENTLY\b|REINDEX\s+(?:\([^)]*\)\s*)?(?:DATABASE|SYSTEM|SCHEMA)\b"
    r"|(?:CREATE|DROP)\s+(?:DATABASE|TABLESPACE|SUBSCRIPTION)\b"
    r"|ALTER\s+DATABASE\b.*\bSET\s+TABLESPACE\b|ALTER\s+TABLE\b.*\bDETACH\b.*\bCONCURRENTLY\b"
    r"|ALTER\s+SYSTEM\b|CLUSTER\s*\Z"
    r"|REFRESH\s+MATERIALIZED\s+VIEW\s+CONCURRENTLY\s+\S+\s+WITH\s+NO\b)",
    re.IGNORECASE | re.DOTALL,
)
_READS = frozenset({"show", "values", "table"})
_SETS = re.compile(r"\w+\s+[^;]*\Z", re.IGNORECASE)
_SET_CONSTRAINTS = re.compile(r"\s*SET\s+CONSTRAINTS\b", re.IGNORECASE)
_UTILITY = re.compile(r"\s*(?:SET|SHOW|RESET|LOCK)\b", re.IGNORECASE)
_SET_LOCAL = re.compile(r"\s*SET\s+LOCAL\b", re.IGNORECASE)
_MODE = re.compile(
    r"SET\s+TRANSACTION\s+[\w\s,]+"
    r"|SET\s+(?:(?:LOCAL|SESSION)\s+)?transaction_(?:read_only|deferrable)\s*(?:=|\bTO\b)\s*[\w']+",
    re.IGNORECASE,
)
_SNAPSHOT = re.compile(
    r"(?:BEGIN|START\s+TRANSACTION|SET\s+TRANSACTION|SET\s+SESSION\s+CHARACTERISTICS)\b"
    r"[^;]*\b(?:ISOLATION\s+LEVEL\s+(?:SERIALIZABLE|REPEATABLE)|SNAPSHOT)\b",
    re.IGNORECASE,
)
_ROW_LOCK = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE|KEY\s+SHARE)\b", re.IGNORECASE)
_INTO = re.compile(r"\binto\b")
_WRITES_ANYWHERE = re.compile(
    r"\b(?:INSERT|UPDATE(?!\s+(?:SKIP|NOWAIT|OF)\b)(?<!FOR UPDATE)|DELETE|MERGE|INTO)\b|;",
    re.IGNORECASE,
)
_WRITING_FUNCTIONS = re.compile(
    r"\b(?:lo_\w+|lowrite|dblink\w*|query_to_xml\w*|schema_to_xml\w*|database_to_xml\w*)\s*\(",
    re.IGNORECASE,
)
_UNUSUAL = re.findall(
    r"\w+",
    "advisory temp pg_ txid lo_ lowrite dblink _to_xml constraints notify inet_ application_name",
)
_UNUSUAL_WORDS = {
    each: re.compile(rf"{each}\b")
    for each in ("local", "create", "alter", "drop", "do", "call", "show", "backend")
}
_UNUSUAL_WORDS |= {
    "val": re.compile(r"val\s*\("),
    "set": re.compile(r"\b(?:re)?set"),
    "current_setting": re.compile(r"current_setting\s*\(\s*(?!')\S"),
}
"""What stands in every text for which one of the questions about a statement is answered by yes.

A word is looked for as it is before its pattern is, which takes fifty times as long; and a pattern
begins with letters, which are found ten times as fast as the edge of a word.
"""
_UPDATE = re.compile(r"\s*update\s+((?:[\w$.]|\"[^\"]*\")+)\s+set\b")
"""The beginning of an UPDATE, in whose SET no parameter is set."""
_OF_ORDINARY = dict.fromkeys(
    (
        "may_define",
        "names_advisory_locks",
        "names_temporary",
        "names_sequence_state",
        "names_own_state",
        "writes_notifications_down",
        "ends_sessions",
        "writes_in_catalog_functions",
        "sets_constraints",
        "is_set_local",
    ),
    False,
)
"""The answers for all other texts."""
_DEFINES = re.compile(r"\b(?:CREATE|ALTER|DROP|DO|CALL)\b", re.IGNORECASE)
_ADVISORY = re.compile(r"pg_(?:try_)?advisory_", re.IGNORECASE)
_TEMPORARY = re.compile(r"\b(?:TEMP|TEMPORARY|PG_TEMP)\b", re.IGNORECASE)
_TAKES_NUMBERS = re.compile(r"\b(?:nextval|setval)\s*\(|\A\s*INSERT\b", re.IGNORECASE)
_SEQUENCE_STATE = re.compile(r"\b(?:lastval|currval)\s*\(", re.IGNORECASE)
