"""Administrative statements that end: each with time limits, each failure with its cause.

A statement about databases waits for locks that any session of the server may hold, and for
sessions to leave. `limited` bounds the wait twice: the server ends the statement, and where the
server's process itself is frozen, the connection is closed on our side a little later
(`pgsandbox.connections`). When a bound is reached, it looks for the sessions that block it
and raises AdministrationBlocked with what they run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

import psycopg2
from psycopg2 import errors as causes
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pgsandbox import connections
from pgsandbox.connections import NoAnswer
from pgsandbox.errors import (
    REMEDY_FOR_A_CRASH,
    REMEDY_FOR_A_FULL_DISK,
    AdministrationBlocked,
    DatabaseError,
    Fact,
)
from pgsandbox.guard import masked

_LONGEST_QUERY = 200
_MOST_SESSIONS = 5


@dataclass(frozen=True)
class Limits:
    """How long one administrative statement may take."""

    lock: float = 10.0
    """Seconds to wait for one lock (``lock_timeout``)."""
    statement: float = 12.0
    """Seconds for the whole statement (``statement_timeout``): a slow disk is no blocker."""

    @property
    def answer(self) -> float:
        """Seconds after which a server that has not even ended the statement counts as frozen."""
        return self.statement + _TO_END


DEFAULT_LIMITS = Limits()

_TO_END = 2.0
_limits_of: WeakKeyDictionary[Connection, Limits] = WeakKeyDictionary()
"""The limits that are set on each connection, so that they are set once."""


@contextmanager
def limited(
    connection: Connection, action: str, name: str, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Cursor]:
    """A cursor whose statements do *action* ("drop", say) to the database *name* within *limits*.

    The limits stay set on *connection*, whose transactions may write, whatever the default of the
    role or the environment (PGOPTIONS) is for the application. Raises AdministrationBlocked if a
    limit is reached or the database is in use, and DatabaseError for everything else that the
    server refuses.
    """
    url = url_fact(connection, name)
    try:
        with connection.cursor() as cursor:
            _set(connection, cursor, limits)
            yield cursor
    except NoAnswer as error:
        raise _frozen(url, action, name, error) from error
    except (causes.LockNotAvailable, causes.QueryCanceled, causes.ObjectInUse) as error:
        raise _blocked(connection, action, name, limits, error) from error
    except psycopg2.Error as error:
        raise DatabaseError(
            f'The server could not {action} the database "{name}".',
            facts=[url, *_said(error)],
            remedy=_REMEDIES.get(
                error.pgcode or "", REMEDY_FOR_A_CRASH if connection.closed else ""
            ),
        ) from error


# SQLSTATEs of appendix A: disk_full, out_of_memory, read_only_sql_transaction.
_REMEDIES = {
    "53100": REMEDY_FOR_A_FULL_DISK,
    "53200": "Give the server's machine or container more memory, or run fewer workers (-n).",
    "25006": "The server takes no writes, as a standby does: give the URL of the primary.",
}


def url_fact(connection: Connection, name: str) -> Fact:
    """Where the database *name* is: a URL without a password."""
    if connection.closed:
        return Fact("database", name)
    info = connection.info
    user, host, database = quote(info.user), info.host or "", quote(name, safe="")
    if host.startswith(("/", "@")) or not host:
        url = f"postgresql://{user}@/{database}?host={quote(host)}&port={info.port}"
    else:
        host = f"[{host}]" if ":" in host else host
        url = f"postgresql://{user}@{host}:{info.port}/{database}"
    return Fact("url", url, "the administrative connection")


def _set(connection: Connection, cursor: Cursor, limits: Limits) -> None:
    if _limits_of.get(connection) == limits:
        return
    if isinstance(connection, connections.Connection):
        connection.timeout = limits.answer
    cursor.execute(
        "select pg_catalog.set_config('lock_timeout', %s, false),"
        " pg_catalog.set_config('statement_timeout', %s, false),"
        " pg_catalog.set_config('default_transaction_read_only', 'off', false)",
        (_milliseconds(limits.lock), _milliseconds(limits.statement)),
    )
    _limits_of[connection] = limits


def _frozen(url: Fact, action: str, name: str, error: NoAnswer) -> AdministrationBlocked:
    return AdministrationBlocked(
        f'The server did not answer when it was to {action} the database "{name}".',
        facts=[
            url,
            Fact("waited for", f"an answer of the session with pid {error.pid}"),
            Fact("limit", f"{error.seconds:g} s; then pgsandbox closed the connection"),
        ],
        remedy="The server's own time limit did not end the statement either, so that process, or "
        "the machine, stands still: look whether somebody has stopped it (SIGSTOP, a debugger, a "
        "container on hold). What was to be done may still happen once it goes on.",
    )


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


def _blocked(
    connection: Connection, action: str, name: str, limits: Limits, error: psycopg2.Error
) -> AdministrationBlocked:
    sessions = _sessions_in_the_way(connection, name)
    pids = [pid for pid, _ in sessions]
    facts = [
        url_fact(connection, name),
        *_said(error),
        Fact("limits", f"{limits.lock:g} s for a lock, {limits.statement:g} s for a statement"),
        *[fact for _, fact in sessions[:_MOST_SESSIONS]],
        *_prepared_transactions(connection, name),
    ]
    if len(sessions) > _MOST_SESSIONS:
        facts.append(Fact("blocked by", f"{len(sessions) - _MOST_SESSIONS} more sessions"))
    if pids:
        remedy = (
            "End what the sessions do, or the sessions themselves, and start again:\n"
            f"SELECT pg_terminate_backend({pids[0]});"
        )
    else:
        remedy = (
            "No session is in the way any more; what the server said tells the rest. Start again."
        )
    return AdministrationBlocked(
        f'The server could not {action} the database "{name}" in time, and nothing was changed.',
        facts=facts,
        remedy=remedy,
    )


def _said(error: psycopg2.Error) -> list[Fact]:
    primary = error.diag.message_primary or str(error).strip() or type(error).__name__
    lines = [primary, error.diag.message_detail, error.diag.message_hint]
    text = "\n".join(masked(line) for line in lines if line)
    return [Fact("server said", text, f"SQLSTATE {error.pgcode}" if error.pgcode else None)]


# What makes a session a blocking one (manual, 54.12 pg_locks, 28.2.3 pg_stat_activity), by rank:
# 1 it is connected to the database, or holds a lock on it (locktype object of class pg_database),
#   or one on template0 that keeps others from copying it, or has locked the catalog pg_database;
# 2 it has written to pg_database in a transaction that is still open: it may have changed the row
#   of this database, or inserted the same name, or have nothing to do with it.
_SESSIONS = """
    with target as (select d.oid, d.datname from pg_catalog.pg_database d
                     where d.datname in (%(name)s::text, 'template0')),
         reason as (
            select a.pid, 1 as rank from pg_catalog.pg_stat_activity a
             where a.datname = %(name)s::text
            union all
            select l.pid, 1 from pg_catalog.pg_locks l join target t on l.objid = t.oid
             where l.granted and l.locktype = 'object'
               and l.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
               and (t.datname <> 'template0' or l.mode <> 'ShareLock')
            union all
            select l.pid, case when l.mode = 'RowExclusiveLock' then 2 else 1 end
              from pg_catalog.pg_locks l
             where l.granted and l.locktype = 'relation'
               and l.relation = 'pg_catalog.pg_database'::pg_catalog.regclass
               and l.mode not in ('AccessShareLock', 'RowShareLock'))
    select a.pid, a.application_name, a.usename, a.state, a.query,
           extract(epoch from pg_catalog.clock_timestamp()
                   - coalesce(a.xact_start, a.state_change, a.backend_start))::float8
      from pg_catalog.pg_stat_activity a
      join (select pid, min(rank) as rank from reason group by pid) r on r.pid = a.pid
     where a.pid <> pg_catalog.pg_backend_pid()
       and r.rank = (select min(rank) from reason where pid <> pg_catalog.pg_backend_pid())
     order by 6 desc nulls last, 1
"""


def _sessions_in_the_way(connection: Connection, name: str) -> list[tuple[int, Fact]]:
    """The pid and the description of each blocking session, longest first."""
    return [(row[0], _session_fact(*row)) for row in _rows(connection, _SESSIONS, name)]


def _session_fact(  # the columns of _SESSIONS
    pid: int,
    application: str | None,
    user: str | None,
    state: str | None,
    query: str | None,
    seconds: float | None,
) -> Fact:
    words = [
        f"pid {pid}",
        f'application "{application or ""}"',
        f"user {user or 'unknown'}",
        state or "state unknown",
    ]
    lasting = "" if seconds is None else f" for {seconds:.0f} s"
    # Masked first: a cut could take away the quote by which a password is recognised.
    text = " ".join(masked(query or "").split())
    if len(text) > _LONGEST_QUERY:
        text = text[:_LONGEST_QUERY] + "..."
    return Fact("blocked by", f"{', '.join(words)}{lasting}\n{text or 'no query'}")


def _prepared_transactions(connection: Connection, name: str) -> list[Fact]:
    rows = _rows(
        connection,
        "select gid, owner, prepared::text from pg_catalog.pg_prepared_xacts"
        " where database = %(name)s::text order by prepared",
        name,
    )
    return [
        Fact("blocked by", f'prepared transaction "{gid}" of {owner}, since {since}')
        for gid, owner, since in rows[:_MOST_SESSIONS]
    ]


def _rows(connection: Connection, query: str, name: str) -> list[tuple[Any, ...]]:
    """What *query* returns; nothing if it fails, since the first failure is the one to tell."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(query, {"name": name})
            return cursor.fetchall()
    except psycopg2.Error:
        return []
