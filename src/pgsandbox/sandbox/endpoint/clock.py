"""The clock of the database, where the settings let it move within a test.

PostgreSQL's ``now()`` is the beginning of its transaction, and a test is one. Where the database's
``now()`` was replaced by one that reads a parameter (`pgsandbox.schema.movable_clock`), each of the
clients' transactions has a beginning of its own: the parameter is set before its statements.
``CURRENT_TIMESTAMP`` and its like are no functions, so that nothing can be put into their place on
the server; in the statements that clients send they become calls of ``now()``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from pgsandbox.sandbox.endpoint import lexer
from pgsandbox.sandbox.endpoint.server import ServerConnection
from pgsandbox.sandbox.endpoint.sessions import ClientSession
from pgsandbox.sandbox.endpoint.statements import Statement

_NOW = "pg_catalog.now()"
_WORDS = {
    "current_timestamp": _NOW,
    "localtimestamp": "(" + _NOW + "::timestamp{0})",
    "current_date": "(" + _NOW + "::date)",
    "current_time": "(" + _NOW + "::timetz{0})",
    "localtime": "(" + _NOW + "::time{0})",
}
_NAMED = re.compile(
    r"\b(?:current_(?:timestamp|date|time)|local(?:timestamp|time))\b", re.IGNORECASE
)
_QUERIES = re.compile(r"[\s(]*(?:select|with|insert|update|delete|merge|values)\b", re.IGNORECASE)


class StandingClock:
    """PostgreSQL's own: ``now()`` stands still for the whole test."""

    moves = False
    """Whether statements need anything for what they read from it."""

    def begin(self, session: ClientSession) -> None:
        """A transaction of *session* begins."""

    def put(self, server: ServerConnection, session: ClientSession, undone: int) -> None:
        """Let the coming statement of *session* see the beginning of its transaction."""

    def in_other_words(self, statement: Statement) -> Statement:
        """Return *statement* such that it asks this clock."""
        return statement

    def begun(self) -> None:
        """A transaction on the server has begun, in which nothing is set."""

    def forget(self) -> None:
        """The test is over."""


class MovingClock(StandingClock):
    """One that goes on with each transaction of each client, and that the test can set."""

    moves = True

    def __init__(self) -> None:
        self._set: datetime | None = None
        """Where it stands; None where it goes with the world's."""
        self._in_force: tuple[str, int] | None = None

    @property
    def now(self) -> datetime:
        """What a transaction that begins now takes for its beginning."""
        return self._set or datetime.now(UTC)

    def set(self, moment: datetime | None) -> None:
        """Let it stand at *moment*; None lets it go with the world's again."""
        self._set = moment

    def advance(self, seconds: float) -> None:
        """Let it stand so much later."""
        self._set = self.now + timedelta(seconds=seconds)

    def begin(self, session: ClientSession) -> None:
        """Give the transaction of *session* its beginning."""
        session.began = self.now.isoformat()

    def put(self, server: ServerConnection, session: ClientSession, undone: int) -> None:
        """Set the parameter, unless it is set; a rollback to a savepoint has reset it."""
        if session.is_arranging and self._set is not None:
            session.began = self.now.isoformat()  # whoever sets the clock does so for what follows
        if self._in_force != (session.began, undone):
            self._in_force = (session.began, undone)
            server.queue(f"SET pgsandbox.now = '{session.began}'")

    def in_other_words(self, statement: Statement) -> Statement:
        """Return *statement* with calls of ``now()`` for what reads the clock by a keyword."""
        text = _rewritten(statement.text)
        if text == statement.text:
            return statement
        return Statement(text, statement.kind, statement.name, statement.offset)

    def begun(self) -> None:
        """Set the parameter anew."""
        self._in_force = None

    def forget(self) -> None:
        """Let the next test have the world's clock."""
        self._set = None


@lru_cache(maxsize=512)
def _rewritten(text: str) -> str:
    if not _NAMED.search(text) or not _QUERIES.match(text):
        return text
    parts, position = [], 0
    tokens = [each for each in lexer.tokens(text) if each.kind != "comment"]
    for place, token in enumerate(tokens):
        word = text[token.start : token.end].lower()
        if token.kind != "word" or word not in _WORDS:
            continue
        if place and tokens[place - 1].kind == ".":
            continue
        precision, end = "", token.end
        after = [text[each.start : each.end] for each in tokens[place + 1 : place + 4]]
        if len(after) == 3 and after[0] == "(" and after[1].isdigit() and after[2] == ")":
            precision, end = f"({after[1]})", tokens[place + 3].end
        parts += [text[position : token.start], _call(word, precision)]
        position = end
    return "".join([*parts, text[position:]])


def _call(word: str, precision: str) -> str:
    if word == "current_timestamp":
        return f"{_NOW}::timestamptz{precision}" if precision else _NOW
    return _WORDS[word].format(precision)
