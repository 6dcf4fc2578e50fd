"""Whether a connection is one session of the server's, or a pooler's share of several.

A pooler in transaction mode (in PgBouncer ``pool_mode = transaction``) gives each transaction of a
client to whichever of its sessions is free. What a session holds is then somebody else's by the
next statement: the advisory lock that says that a run lives, a time limit, a prepared statement.
Such a pooler is recognised by the server's process behind the connection, which is another one from
transaction to transaction, or the same for two connections that are open at once.

A pooler in session mode keeps one for as long as the client stays, and is fine.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress

import psycopg2
from sqlalchemy.engine import URL

from pgsandbox.connections import Connection
from pgsandbox.errors import Fact, PoolerInBetween
from pgsandbox.servers import libpq

_TRANSACTIONS = 3  # a pooler that takes its sessions in turn shows itself by the second
_LIMIT = 3.0


def require_own_session(
    connection: Connection, connect: Callable[[], Connection], target: URL, source: str
) -> None:
    """Return if *connection* is one session of the server's; else raise PoolerInBetween.

    *connect* makes a second one, to the same place. If none is to be had, nothing is said: whether
    there are connections enough is another question, which has its own error.
    """
    try:
        other = connect()
    except psycopg2.Error:
        return
    with closing(other):
        seen = _how_shared(connection, other)
    if seen:
        raise _pooler(connection, target, source, seen)


def _how_shared(first: Connection, second: Connection) -> str:
    """How it shows that the two are not a session each; nothing if they are."""
    timeout, first.timeout, second.timeout = first.timeout, _LIMIT, _LIMIT
    try:
        pids = [_pid(first) for _ in range(_TRANSACTIONS)]
        try:
            second.cursor().execute("begin")
        except psycopg2.Error as error:  # so does a pooler in statement mode
            return f'"begin" was refused: {error.diag.message_primary or error}'
        held = _pid(second)
        if held in pids:  # and if that is the pooler's only one, the first would wait for it
            return f"the process {held} for two connections at once"
        pids.append(_pid(first))
    finally:
        first.timeout = timeout
        with suppress(psycopg2.Error):
            second.cursor().execute("rollback")
    distinct = list(dict.fromkeys(pids))
    if len(distinct) == 1:
        return ""
    return f"the processes {', '.join(map(str, distinct))} for one connection"


def _pid(connection: Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("select pg_catalog.pg_backend_pid()")
        ((pid,),) = cursor.fetchall()
    return int(pid)


def _pooler(connection: Connection, target: URL, source: str, seen: str) -> PoolerInBetween:
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_catalog.host(pg_catalog.inet_server_addr()),"
            " coalesce(pg_catalog.inet_server_port(), current_setting('port')::int)"
        )
        ((host, port),) = cursor.fetchall()
    if host:
        query = {name: value for name, value in target.query.items() if name not in _PLACES}
        there = target.set(host=host, port=port, query=query)
        behind = f"{host}:{port}"
        remedy = f"Point {source} at the server itself, as the pooler sees it:\n  " + libpq.masked(
            there
        )
    else:
        behind = f"a Unix socket of the pooler's machine, port {port}"
        remedy = (
            f"Point {source} at the server itself: the configuration of the pooler names it "
            f'(in pgbouncer.ini, "host" in [databases]), and its port is {port}.'
        )
    return PoolerInBetween(
        f"What answers at {libpq.place(libpq.arguments(target))} is a pooler that gives each "
        "transaction another session.",
        facts=[
            Fact("url", libpq.masked(target), source),
            Fact("seen", seen, "pg_backend_pid()"),
            Fact("behind it", behind, "inet_server_addr()"),
        ],
        remedy=f"{remedy}\nOr let it keep a session for each client (pool_mode = session).",
    )


_PLACES = ("host", "hostaddr", "port")
