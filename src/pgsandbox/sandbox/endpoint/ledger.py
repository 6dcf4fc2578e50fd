"""What the server said to each statement, and what clients have written and not committed.

The tags of the answers say how many rows a statement has written. Where they can't, because a
function or a WITH has written, the rows themselves say whose they are: ``xmin`` is the id of the
subtransaction that wrote them, and those of a client's savepoints are known.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from pgsandbox.sandbox.endpoint.savepoints import SavepointStack
from pgsandbox.sandbox.endpoint.server import Outcome, ServerConnection, ServerError
from pgsandbox.sandbox.endpoint.sessions import ClientSession, Executed

WRITES = frozenset({b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"COPY"})
"""Tags of what writes rows."""
_COPIES_OUT = re.compile(r"\s*COPY\b.*\bTO\s+(?:STDOUT\b|PROGRAM\b|')", re.IGNORECASE | re.DOTALL)

IDS = (
    "SELECT transactionid::text::bigint FROM pg_locks WHERE locktype = 'transactionid' AND granted "
    "AND pid = pg_backend_pid() AND mode = 'ExclusiveLock' ORDER BY 1"
)
"""The ids of this session's transaction and of the subtransactions in it that have one.

They ascend from the outermost inwards, and those of the savepoints follow those of what encloses
them; what is released has none any more (``CommitSubTransaction`` in PostgreSQL's xact.c).
"""
_WRITTEN = (
    "SELECT n.nspname, c.relname, pg_table_is_visible(c.oid)::int FROM pg_stat_xact_user_tables s "
    "JOIN pg_class c ON c.oid = s.relid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE s.n_tup_ins + s.n_tup_upd > 0 AND c.relpersistence <> 't' "
    "AND pg_relation_size(c.oid) < 8 * 1024 * 1024"
)
"""The tables in which this transaction has written rows, whoever's they are.

Large ones are left out, since somebody's rows are looked for by looking through the whole table.
"""


@dataclass(frozen=True)
class Held:
    """What one client has written in a transaction that is open."""

    session: ClientSession
    transaction: int
    """Its number among those of the session."""
    writes: tuple[Executed, ...]


@dataclass(frozen=True)
class Table:
    """A table that holds rows which somebody has not committed."""

    schema: str
    name: str
    is_visible: bool
    """Whether its bare name means it."""
    condition: str
    """What is true of these rows."""

    @property
    def sql(self) -> str:
        """Its name as SQL writes it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


class Ledger:
    """The statements that the clients of one test have sent, and what became of each."""

    def __init__(self) -> None:
        self.executed: list[Executed] = []
        """All of them, oldest first."""
        self.writers: set[ClientSession] = set()
        """The application's clients that have written and not committed."""
        self.watched: list[tuple[ClientSession, int]] = []
        """Transactions that were open at the end of the test's body, by their numbers."""

    def record(self, session: ClientSession, text: str, *, is_sent: bool = True) -> Executed:
        """Return what is remembered of a statement; *is_sent* if the server will answer it."""
        sent = Executed(text, session.label, time.monotonic(), session, len(session.ends))
        self.executed.append(sent)
        if is_sent:
            session.unanswered.append(sent)
        return sent

    def answered(self, session: ClientSession, outcome: Outcome) -> None:
        """Remember what the server said to the statements that *session* has sent."""
        if answer(session.unanswered, outcome) and not session.is_arranging:
            self.writers.add(session)

    def sent_in(self, session: ClientSession, number: int) -> list[Executed]:
        """Return what stands of the transaction of that *number* of *session*."""
        return [
            each
            for each in self.executed
            if each.session is session and each.transaction == number and not each.is_undone
        ]

    def held(
        self, server: ServerConnection, stack: SavepointStack, sessions: Iterable[ClientSession]
    ) -> list[Held]:
        """Return what those of *sessions* that are the application's have not committed."""
        found = []
        for session in sessions:
            if not session.in_transaction or session.is_arranging or session.has_failed:
                continue
            number = len(session.ends)
            mine = self.sent_in(session, number)
            writes = tuple(each for each in mine if writes_rows(each))
            if not writes and mine and _is_unclear(session) and written(server, stack, session):
                writes = tuple(mine[-1:])
            if writes:
                found.append(Held(session, number, writes))
        return found

    # -- what becomes of them -----------------------------------------------------------------

    def marked(self, session: ClientSession, name: str | None) -> None:
        """*session* has set a savepoint of that name."""
        session.marks.append((name, len(self.executed)))

    def released(self, session: ClientSession, name: str | None) -> None:
        """*session* has released its savepoint of that name, and those above it."""
        del session.marks[_place_of(session, name) :]

    def rolled_back(self, session: ClientSession, name: str | None) -> None:
        """*session* went back to its savepoint of that name, which stays."""
        place = _place_of(session, name)
        if place == len(session.marks):
            return
        for sent in self.executed[session.marks[place][1] :]:
            if sent.session is session:
                sent.is_undone = True
        del session.marks[place + 1 :]

    def ended(self, session: ClientSession, *, is_commit: bool) -> None:
        """The transaction of *session* has ended."""
        session.ends.append(is_commit)
        session.marks.clear()
        self.writers.discard(session)

    def ended_alone(self, session: ClientSession) -> None:
        """What *session* has sent last was a transaction by itself, if it began none."""
        last = self.executed[-1] if self.executed else None
        if last is not None and last.session is session and last.transaction == len(session.ends):
            session.ends.append(True)


def _place_of(session: ClientSession, name: str | None) -> int:
    """Return where the last savepoint of *session* with that name stands among its marks."""
    places = [place for place, (given, _) in enumerate(session.marks) if given == name]
    return places[-1] if places else len(session.marks)


def answer(waiting: list[Executed], outcome: Outcome) -> bool:
    """Give *waiting* statements the *outcome* of their answer; return whether rows were written."""
    has_written = False
    for sent, tag in zip(waiting, outcome.tags, strict=False):
        sent.tag = tag
        has_written = has_written or writes_rows(sent)
    if outcome.error is not None and len(outcome.tags) < len(waiting):
        waiting[len(outcome.tags)].error = outcome.error
    waiting.clear()
    return has_written


def writes_rows(sent: Executed) -> bool:
    """Whether *sent* has written rows, by what the server said of it."""
    word, _, count = sent.tag.partition(b" ")
    if word not in WRITES or count.rpartition(b" ")[2] == b"0":
        return False
    return word != b"COPY" or _COPIES_OUT.match(sent.text) is None


def _is_unclear(session: ClientSession) -> bool:
    return any(each.is_open and (each.wrote or each.unclear) for each in session.savepoints)


def written(server: ServerConnection, stack: SavepointStack, session: ClientSession) -> list[Table]:
    """Return the tables that hold rows which *session* has written and not committed.

    It is empty where nobody can tell, and for rows that were deleted.
    """
    if server.has_failed or server.is_lost:
        return []
    server.queue(f"SAVEPOINT {_SEEN}")
    try:
        condition = _condition(server, stack, session)
        if not condition:
            return []
        tables = [
            Table(schema or "", name or "", is_visible == "1", condition)
            for schema, name, is_visible in server.rows(_WRITTEN)
        ]
        if not tables:
            return []
        asked = " UNION ALL ".join(
            f"SELECT {number} WHERE EXISTS (SELECT FROM ONLY {each.sql} WHERE {condition})"  # noqa: S608  # names quoted here
            for number, each in enumerate(tables)
        )
        return [tables[int(number or 0)] for (number,) in server.rows(asked)]
    except ServerError:
        return []
    finally:
        server.queue(f"ROLLBACK TO SAVEPOINT {_SEEN}; RELEASE SAVEPOINT {_SEEN}")


def _condition(server: ServerConnection, stack: SavepointStack, session: ClientSession) -> str:
    """Return what is true of the rows that *session* has written in its open savepoints."""
    ids = [int(each or 0) for (each,) in server.rows(IDS)]
    # The one that this question is asked in has none.
    of_savepoints = ids[stack.places_below :]
    ranges = []
    for place, first in enumerate(of_savepoints[: len(stack.savepoints)]):
        savepoint = stack.savepoints[place]
        # Where somebody has committed above it, their rows are among its own.
        if savepoint.owner is not session or savepoint.buried:
            continue
        end = of_savepoints[place + 1 :][:1]
        below = f" AND xmin::text::bigint < {end[0]}" if end else ""
        ranges.append(f"(xmin::text::bigint >= {first}{below})")
    return " OR ".join(ranges)


def quoted(name: str) -> str:
    """Return *name* as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


_SEEN = "pgsandbox_seen"
