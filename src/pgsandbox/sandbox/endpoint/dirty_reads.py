"""Reads of rows that another connection has written and not committed.

Nobody in production sees such rows, while the one transaction of a sandboxed test shows them to
all. Whether a statement has seen some is not read from its words: it is asked once more, with these
rows hidden, and only another answer counts. They are hidden by a WITH that bears the table's name,
so that nothing is written, and the question leaves nothing behind.

It is asked only while a connection of the application has written and not committed, and another
one reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import ledger
from pgsandbox.sandbox.endpoint.ledger import Table, quoted
from pgsandbox.sandbox.endpoint.server import ServerError
from pgsandbox.sandbox.endpoint.sessions import ClientSession, Executed
from pgsandbox.sandbox.endpoint.statements import Kind, Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.transaction import TestTransaction

Rows = list[tuple[str | None, ...]]
Ask = Callable[[str], Rows]
"""Asks the server another text with the parameters of the statement that is looked at."""

_MOST_QUESTIONS = 40
"""Statements of one test that are asked again."""
_MOST_ROWS = 1000
_MOST_VALUES = 20
_LONG = 200
"""Characters of a value that nobody looks for in a failure."""
_WORD = re.compile(r"\w+")
_BEGINS = re.compile(r"\s*(?P<with>WITH\s+(?:RECURSIVE\s+)?)?\(?\s*(?:SELECT\b)?", re.IGNORECASE)
_SEEN = "pgsandbox_seen"
_FIRST_ID = re.compile(r"(?<=>= )\d+")
_BEYOND_ALL_IDS = "9999999999"


@dataclass(frozen=True)
class DirtyRead:
    """A statement that has read what another connection had not committed."""

    read: Executed
    writer: ClientSession
    transaction: int
    """The number of the writer's transaction."""
    writes: tuple[Executed, ...]
    table: str
    seen: tuple[str, ...]
    """What its answer had because of these rows: values, and the number of rows."""
    unseen: tuple[str, ...]
    """What it would have had without them."""


class DirtyReads:
    """Looks at the reads of one test."""

    def __init__(self, transaction: TestTransaction) -> None:
        self.found: list[DirtyRead] = []
        self._transaction = transaction
        self._questions = 0
        self._known: dict[ClientSession, tuple[tuple[int, int], list[Table]]] = {}
        """The tables that a writer has written in, with how much it had written then."""
        self._done: set[tuple[ClientSession, ClientSession, int, str]] = set()

    def are_possible(self, session: ClientSession, statement: Statement) -> bool:
        """Whether *statement* of *session* may have read what others have not committed."""
        writers = self._transaction.ledger.writers
        if not writers or (len(writers) == 1 and session in writers):
            return False
        is_read = statement.kind in (Kind.READ, Kind.LOCKING_READ) and statement.is_ordinary
        return is_read and self._questions < _MOST_QUESTIONS

    def look(self, session: ClientSession, statement: Statement, ask: Ask) -> None:
        """See whether *statement*, the last one of *session*, has read such rows."""
        transaction = self._transaction
        read = transaction.ledger.executed[-1] if transaction.ledger.executed else None
        if read is None or read.session is not session or not _is_small(read):
            return
        words = {each.lower() for each in _WORD.findall(statement.bare)}
        for writer in list(transaction.ledger.writers):
            if writer is session:
                continue
            for table in self._written_by(writer):
                key = (session, writer, len(writer.ends), table.name)
                if table.is_visible and table.name.lower() in words and key not in self._done:
                    self._questions += 1
                    answers = self._answers(statement, table, ask)
                    if answers is not None:
                        self._done.add(key)
                        self._remember(read, writer, table, *answers)

    def _written_by(self, writer: ClientSession) -> list[Table]:
        transaction = self._transaction
        number = len(writer.ends)
        writes = sum(
            ledger.writes_rows(each) for each in transaction.ledger.sent_in(writer, number)
        )
        known = self._known.get(writer)
        # What others do on top of it moves the end of its rows.
        state = (number, writes * 1000 + len(transaction.stack.savepoints))
        if known is None or known[0] != state:
            found = ledger.written(transaction.server, transaction.stack, writer)
            known = self._known[writer] = (state, found)
        return known[1]

    def _answers(self, statement: Statement, table: Table, ask: Ask) -> tuple[Rows, Rows] | None:
        """Return the answer and the one without the rows of *table*; None if both are the same."""
        server = self._transaction.server
        server.queue(f"SAVEPOINT {_SEEN}")
        try:
            # Both in the same words, so that they are planned alike.
            never = _FIRST_ID.sub(_BEYOND_ALL_IDS, table.condition)
            shown = ask(_without(statement.text, table, never))
            hidden = ask(_without(statement.text, table, table.condition))
            if _in_order(shown) == _in_order(hidden):
                return None
            # A statement that is answered differently each time says nothing.
            is_certain = _in_order(ask(statement.text)) == _in_order(shown)
            return (shown, hidden) if is_certain else None
        except ServerError:
            return None
        finally:
            server.queue(f"ROLLBACK TO SAVEPOINT {_SEEN}; RELEASE SAVEPOINT {_SEEN}")

    def _remember(
        self, read: Executed, writer: ClientSession, table: Table, shown: Rows, hidden: Rows
    ) -> None:
        number = len(writer.ends)
        sent = self._transaction.ledger.sent_in(writer, number)
        writes = [each for each in sent if ledger.writes_rows(each)]
        named = [each for each in writes if table.name.lower() in each.text.lower()]
        seen, unseen = _only_in(shown, hidden), _only_in(hidden, shown)
        writes = named or writes
        self.found.append(DirtyRead(read, writer, number, tuple(writes), table.name, seen, unseen))


def _in_order(rows: Rows) -> list[str]:
    return sorted(map(str, rows))


def _only_in(rows: Rows, others: Rows) -> tuple[str, ...]:
    """Return the values that *rows* have and *others* have not, and their number if it differs."""
    known = {each for row in others for each in row}
    values = {each for row in rows for each in row if each is not None and len(each) < _LONG}
    found = sorted(values - known)[:_MOST_VALUES]
    return (*found, str(len(rows))) if len(rows) != len(others) else tuple(found)


def _is_small(read: Executed) -> bool:
    word, _, count = read.tag.partition(b" ")
    return word == b"SELECT" and int(count or 0) <= _MOST_ROWS


def _without(text: str, table: Table, condition: str) -> str:
    """Return *text* such that the bare name of *table* means its rows without those."""
    begun = _BEGINS.match(text)
    assert begun is not None  # each of its parts may be missing
    name = quoted(table.name)
    rows = f"SELECT * FROM {table.sql} WHERE NOT ({condition})"  # noqa: S608  # names quoted here
    hiding = f"{name} AS NOT MATERIALIZED ({rows})"
    if begun["with"]:
        end = begun.end("with")
        return f"{text[:end]}{hiding}, {text[end:]}"
    return f"WITH {hiding} {text}"
