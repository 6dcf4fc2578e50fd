"""What a test left behind in its database although its transaction was rolled back.

The cheap question is asked after every test, in the same round trip as its ROLLBACK: did any other
session connect to the database since, and does the server connection still hold advisory locks,
which survive a rollback? Only when another session did connect is the database itself compared with
what it was before the first test.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pgsandbox.errors import EscapedFromSandbox, Fact
from pgsandbox.sandbox.endpoint.refusals import CLONE
from pgsandbox.sandbox.endpoint.server import ServerConnection, ServerError

_SESSIONS = "SELECT pg_stat_get_db_sessions({oid})::int"
_LOCKS = (
    "(SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())"
)
_LOCK_TIMEOUT = "2s"
"""How long the comparison waits for a lock that somebody else holds; teardown has to end."""
_LOCK_NOT_AVAILABLE = "55P03"
_MORE_LOOKS = 6
_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Contents:
    """What a database holds, as far as a test could have changed it."""

    rows: dict[str, int]
    """The number of rows of each table."""
    objects: dict[str, tuple[int, int]]
    """The number and the greatest oid of the rows of each catalog."""
    are_all: bool
    """Whether no table was left out."""


class LeakDetector:
    """Remembers one database as it was before its first test."""

    def __init__(self, server: ServerConnection) -> None:
        oid = server.rows("SELECT oid FROM pg_database WHERE datname = current_database()")[0][0]
        self._ask = _SESSIONS.format(oid=oid)
        self._sessions = _number(server, self._ask)
        self._held = 0
        """Advisory locks that fixtures of wider scopes hold."""
        self._has_left_out = False
        """Whether tables could not be looked at since other sessions were opened."""
        self._before = _contents(server, since=None, own=server.pid)
        self.has_functions = bool(_number(server, _FUNCTIONS))
        """Whether a function of the database's own may write in the middle of a read."""
        self._since = _number(server, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text")

    def question(self, *, may_hold_locks: bool) -> str:
        """Return what to ask after a test: sessions ever established, advisory locks still held.

        The locks are counted where the test named them, or where a function of the database's own
        may have taken them; looking through all locks of the server has its price.
        """
        return f"{self._ask}, {_LOCKS if may_hold_locks or self.has_functions else 0}"

    def remember_locks(self, server: ServerConnection | None) -> None:
        """Count the advisory locks of the fixtures whose scope goes on; none without *server*."""
        self._held = _number(server, f"SELECT {_LOCKS}") if server else 0

    def sessions_now(self) -> str:
        """Return what to ask, on any connection to the server, for `unseen`."""
        return self._ask

    def unseen(self, sessions: int, *, by_a_child: bool) -> str | None:
        """Return what to tell of a failing test if other *sessions* than its own were opened."""
        others = sessions - self._sessions
        if others <= 0:
            return None
        number = "a session was" if others == 1 else f"{others} sessions were"
        by = " by a child process" if by_a_child else " past SQLAlchemy and the drivers"
        return (
            f"{number} opened on the test database{by}; nobody outside of a sandboxed test sees "
            "what it wrote, since it never commits. Given pg.url, a process joins the test. Or "
            'give the test a database of its own: @pytest.mark.pgsandbox(isolation="clone").'
        )

    def expect_session(self) -> None:
        """Count a session that pgsandbox itself opened."""
        self._sessions += 1

    def look(
        self,
        server: ServerConnection,
        answer: tuple[str | None, ...],
        test: str,
        *,
        thoroughly: bool,
        by_a_child: bool,
        outside: AbstractContextManager[ServerConnection],
    ) -> list[EscapedFromSandbox]:
        """Return what *test* left behind, given the *answer* to `question`.

        The database is looked at by *outside*, which sees nothing of an open transaction.
        """
        sessions, locks = (int(each or 0) for each in answer)
        found = []
        if locks > self._held:
            found.append(_advisory_locks(server, test))
            server.rows("SELECT pg_advisory_unlock_all()")
            self._held = 0
        if thoroughly or self._has_left_out or sessions != self._sessions:
            self._sessions = sessions
            with outside as observer:
                facts = self._changes(observer, server.pid)
            if facts:
                found.append(_escaped(facts, test, by_a_child=by_a_child))
        return found

    def _changes(self, server: ServerConnection, own: int) -> list[Fact]:
        """Return what *server* finds changed; *own* is the process of the sandbox's session."""
        facts = []
        try:
            now = _contents(server, since=self._since, own=own)
        except ServerError as error:
            if error.sqlstate != _LOCK_NOT_AVAILABLE:
                raise
            said = f"another session holds one on a table, after {_LOCK_TIMEOUT}"
            facts.append(Fact("lock", said))
            return facts + self._others(server, own)
        self._has_left_out = not now.are_all
        for table, changed in now.rows.items():
            before = self._before.rows.get(table)
            if before is not None and changed != before:
                facts.append(Fact("table", f"{table}: {_described(before, changed)}"))
        for catalog, objects in now.objects.items():
            if objects != self._before.objects[catalog]:
                facts.append(Fact("catalog", f"{catalog}: objects were created or dropped"))
        return facts + self._others(server, own)

    def _others(self, server: ServerConnection, own: int) -> list[Fact]:
        facts = []
        for gid, owner in server.rows(
            "SELECT gid, owner FROM pg_prepared_xacts WHERE database = current_database()"
        ):
            facts.append(Fact("prepared transaction", f"{gid} of {owner}"))
        for pid, name, state, query in _sessions_left(server, own):
            facts.append(Fact("session", f"pid {pid} ({name or 'no name'}), {state}: {query}"))
        return facts


def _contents(server: ServerConnection, since: int | None, own: int) -> Contents:
    """Count rows and catalog entries; a row written after *since* counts as a change by itself.

    A table that a fixture of a wider scope has locked whole is left out.
    """
    there = server.rows(_TABLES.format(own=own))
    tables = [str(name) for name, is_locked in there if is_locked == "f"]
    fresh = (
        f" + 1000000000 * (count(*) FILTER (WHERE xmin::text::bigint >= {since % 2**32}))"
        if (since)
        else ""
    )
    counts = " UNION ALL ".join(
        # The names are quoted by the server's own regclass output.
        f"SELECT {number}, (count(*){fresh})::bigint FROM ONLY {table}"  # noqa: S608
        for number, table in enumerate(tables)
    )
    # In one message, hence one transaction: the limit ends with it (PostgreSQL manual, 55.2.2.1).
    limited = f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'; {counts}"
    found = server.rows(limited) if tables else []
    rows = {tables[int(n or 0)]: int(count or 0) for n, count in found}
    objects = {
        str(catalog): (int(number or 0), int(greatest or 0))
        for catalog, number, greatest in server.rows(_CATALOGS)
    }
    return Contents(rows, objects, are_all=len(tables) == len(there))


def _sessions_left(server: ServerConnection, own: int) -> list[tuple[str | None, ...]]:
    """Return the other sessions that stay; one that was closed just now needs a moment to end."""
    asked = _OTHER_SESSIONS.format(own=own)
    left = server.rows(asked)
    for _ in range(_MORE_LOOKS):
        if not left:
            break
        time.sleep(_BETWEEN_LOOKS)
        left = server.rows(asked)
    return left


def _number(server: ServerConnection, sql: str) -> int:
    return int(server.rows(sql)[0][0] or 0)


def _described(before: int, changed: int) -> str:
    written, rows = divmod(changed, 1_000_000_000)
    if written:
        return f"{written} rows written, {rows} rows now, {before} before"
    return f"{rows} rows now, {before} before"


def _advisory_locks(server: ServerConnection, test: str) -> EscapedFromSandbox:
    locks = server.rows(
        "SELECT classid::bigint, objid::bigint, mode FROM pg_locks "
        "WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    )
    return EscapedFromSandbox(
        "The test left session advisory locks, which a rollback does not free. They were freed.",
        facts=[
            Fact("test", test),
            *(Fact("lock", f"({first}, {second}) {mode}") for first, second, mode in locks),
        ],
        remedy=(
            "Free them with pg_advisory_unlock, or take pg_advisory_xact_lock, which ends with its "
            "transaction."
        ),
    )


def _escaped(facts: list[Fact], test: str, *, by_a_child: bool) -> EscapedFromSandbox:
    if all(fact.name in ("lock", "session") for fact in facts):
        what = "left another session open in its database"
    else:
        what = "changed its database"
    who = (
        "The test has started other processes, which connect for themselves: they do not see what "
        "the test wrote, and what they write is real."
        if by_a_child
        else "Something connected past SQLAlchemy and past the drivers, most likely another "
        "process."
    )
    return EscapedFromSandbox(
        f"The test {what} from outside of its transaction, so that a rollback could not undo it. "
        "The database is made anew before the next test.",
        facts=[Fact("test", test), *facts],
        remedy=f"{who} {_JOINS} {CLONE}",
    )


_JOINS = "By pg.url, or by a variable that `child-env` names, a process joins the test."
_TABLES = (
    "SELECT c.oid::regclass::text, EXISTS (SELECT FROM pg_locks l WHERE l.pid = {own} "
    "AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND (l.relation = c.oid "
    "OR EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indexrelid = l.relation))) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
    "WHERE relkind = 'r' AND relpersistence <> 't' AND nspname NOT LIKE 'pg\\_%' "
    "AND nspname <> 'information_schema' ORDER BY 1"
)
_FUNCTIONS = "SELECT count(*) FROM pg_proc WHERE oid >= 16384 AND provolatile = 'v'"
_CATALOGS = " UNION ALL ".join(
    f"SELECT '{catalog}', count(*)::int, coalesce(max(oid)::bigint, 0) FROM {catalog} "  # noqa: S608
    "WHERE oid >= 16384"
    for catalog in ("pg_class", "pg_type", "pg_proc", "pg_namespace", "pg_constraint", "pg_trigger")
)
_OTHER_SESSIONS = (
    "SELECT pid, application_name, state, left(query, 200) FROM pg_stat_activity "
    "WHERE datname = current_database() AND backend_type = 'client backend' "
    "AND pid NOT IN (pg_backend_pid(), {own}) AND application_name NOT LIKE 'pgsandbox%' "
    "AND application_name <> 'psql'"
)
