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

    A server that restarts its processes after a crash is waited for, for 5 seconds. One that was
    waited for in vain is not waited for again for 10 seconds: set-up and teardown take several
    steps, each with a connection, and would wait for each.
    """
    began, vain = time.monotonic(), _in_vain.get(server)
    is_spared = vain is not None and began - vain[0] < _SPARED
    try:
        if vain is not None and is_spared and isinstance(vain[1], NoAnswer):
            raise NoAnswer(vain[1].seconds, vain[1].pid)
        connection = _let_in(server, database, began if is_spared else began + PATIENCE)
    except psycopg2.Error as error:
        if not is_spared and (isinstance(error, NoAnswer) or _says(error, _RESTARTING)):
            _in_vain[server] = time.monotonic(), error
        facts = [
            Fact("database", database or "the maintenance database"),
            Fact("server said", _said(error)),
        ]
        if _says(error, _FULL):
            raise TooFewConnections(
                "The server has no connection left for pgsandbox.",
                facts=facts,
                remedy="Run fewer workers (-n), end other sessions, or raise max_connections.",
            ) from error
        raise ServerError(
            "The server did not let pgsandbox in for administration.",
            facts=facts,
            remedy=_remedy_for(error),
        ) from error
    _in_vain.pop(server, None)
    return connection


def _let_in(server: Server, database: str | None, deadline: float) -> Connection:
    while True:
        try:
            return server.connect(database)
        except psycopg2.Error as error:
            if not _says(error, _RESTARTING) or time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)


def _said(error: psycopg2.Error) -> str:
    return masked(error.diag.message_primary or str(error).strip())


def _says(error: psycopg2.Error, words: tuple[str, ...]) -> bool:
    said = _said(error)
    return any(each in said for each in words)


def _remedy_for(error: psycopg2.Error) -> str:
    if isinstance(error, NoAnswer):
        return _REMEDY_FOR_A_FROZEN_SERVER
    if _says(error, _RESTARTING):
        return _REMEDY_FOR_A_CRASH
    if _says(error, _GONE):
        return _REMEDY_FOR_A_SERVER_THAT_IS_GONE
    return _REMEDY_FOR_A_CHANGE


PATIENCE = 5.0
"""Seconds for which a server is waited for that restarts after a crash."""
_PAUSE = 0.02
_SPARED = 10.0
_in_vain: WeakKeyDictionary[Server, tuple[float, psycopg2.Error]] = WeakKeyDictionary()
"""The servers that were last waited for in vain, until when, and what they said."""
# What PostgreSQL says until its processes are restarted, and libpq where it hangs up meanwhile.
_RESTARTING = (
    "the database system is starting up",
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
    "server closed the connection unexpectedly",
    "Connection reset by peer",
)
_GONE = ("the database system is shutting down", "Connection refused", "No such file or directory")
_REMEDY_FOR_A_CHANGE = (
    "It did before: somebody has changed the role, the rules of pg_hba.conf, or the database."
)
_REMEDY_FOR_A_FROZEN_SERVER = (
    "It did before, and now it says nothing at all: look whether somebody has stopped its "
    "processes (SIGSTOP, a debugger, a container on hold)."
)
_REMEDY_FOR_A_CRASH = (
    f"It did before, and restarts now, for more than {PATIENCE:g} s: one of its processes has "
    "crashed or was killed. Its log says which, and the system's (dmesg) whether memory was short. "
    "Start the run again when it is up."
)
_REMEDY_FOR_A_SERVER_THAT_IS_GONE = (
    "It did before: somebody has stopped it, or it has crashed and could not restart. Look at its "
    "log, and for a full disk; then start the server, where it is not the embedded one, and the "
    "run again."
)
