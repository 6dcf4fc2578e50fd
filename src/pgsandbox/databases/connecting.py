"""Connections for administrative work: each bounded, and told apart when it can't be had."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakKeyDictionary

import psycopg2
from psycopg2.extensions import connection as Connection

from pgsandbox import connections
from pgsandbox.connections import NoAnswer
from pgsandbox.errors import Fact, ServerError, TooFewConnections
from pgsandbox.guard import masked

# libpq has no SQLSTATE for a refused log-in (manual, 34.1.3); 53300 says one of these.
_FULL = ("too many clients", "too many connections for", "connection slots are reserved")


class Server(Protocol):
    """What is asked of a server here: to be connected to."""

    def connect(self, database: str | None = None) -> Connection:
        """A psycopg2 connection in autocommit, to the maintenance database unless one is named.

        It speaks UTF-8, and none of its calls waits for ever (`pgsandbox.connections`).
        """


@contextmanager
def administration(server: Server, database: str | None = None) -> Iterator[Connection]:
    """A connection for administrative statements, closed at the end of the block.

    It speaks UTF-8 whatever the maintenance database's encoding is: names are given and compared
    as UTF-8. Raises TooFewConnections if the server has none left, and ServerError if it does not
    let us in for another reason.
    """
    if isinstance(server, HeldServer) and database is None:
        with server.lock:
            yield server.connection()
        return
    connection = open_connection(server, database)
    try:
        yield connection
    finally:
        connection.close()


class HeldServer:
    """A server whose administration goes over one connection, for callers with many statements.

    Opening one costs a third of what a copy of a small database does. One thread uses it at a time.
    """

    def __init__(self, server: Server) -> None:
        self.lock = threading.RLock()
        self._server = server
        self._connection: Connection | None = None

    def connect(self, database: str | None = None) -> Connection:
        """A connection of its own, as of any server."""
        return self._server.connect(database)

    def connection(self) -> Connection:
        """The one connection, opened when it is first asked for, and again where it broke."""
        if self._connection is None or not is_open(self._connection):
            self._connection = open_connection(self._server)
        return self._connection

    def close(self) -> None:
        """Close it; it is opened again if somebody asks."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None


def is_open(connection: Connection) -> bool:
    """Whether the server keeps *connection*, as far as can be told without asking it."""
    if isinstance(connection, connections.Connection):
        return connection.is_open()
    return not connection.closed


def open_connection(server: Server, database: str | None = None) -> Connection:
    """Like `administration`, for a connection that the caller closes.

    A server that has just let a log-in wait in vain is not waited for again for 10 seconds: set-up
    and teardown take several steps, each with a connection, and would wait for each.
    """
    silent = _silent.get(server)
    try:
        if silent is not None and time.monotonic() - silent[0] < _SPARED:
            raise silent[1]
        connection = server.connect(database)
    except psycopg2.Error as error:
        if isinstance(error, NoAnswer) and error is not (silent or (0, None))[1]:
            _silent[server] = time.monotonic(), error
        said = masked(error.diag.message_primary or str(error).strip())
        facts = [
            Fact("database", database or "the maintenance database"),
            Fact("server said", said),
        ]
        if any(words in said for words in _FULL):
            raise TooFewConnections(
                "The server has no connection left for pgsandbox.",
                facts=facts,
                remedy="Run fewer workers (-n), end other sessions, or raise max_connections.",
            ) from error
        raise ServerError(
            "The server did not let pgsandbox in for administration.",
            facts=facts,
            remedy=_FROZEN if isinstance(error, NoAnswer) else _CHANGED,
        ) from error
    _silent.pop(server, None)
    return connection


_SPARED = 10.0
_silent: WeakKeyDictionary[Server, tuple[float, NoAnswer]] = WeakKeyDictionary()
"""The servers that last answered no log-in, and since when."""
_CHANGED = (
    "It did before: somebody has changed the role, the rules of pg_hba.conf, or the database."
)
_FROZEN = (
    "It did before, and now it says nothing at all: look whether somebody has stopped its "
    "processes (SIGSTOP, a debugger, a container on hold)."
)
