"""Connections of psycopg2 on which no call waits for ever.

libpq's limits end at the network: ``connect_timeout`` counts until the log-in, ``tcp_user_timeout``
and keepalives ask the other machine's kernel, and ``statement_timeout`` is kept by the very process
that may be the one that has stopped. A server process that is frozen (SIGSTOP, a debugger, a
container on hold) keeps its socket open and answers nothing, and on a Unix socket none of these
options says anything.

So these connections are asynchronous ones (psycopg2 manual, "Asynchronous support"), whose every
call waits here, for the socket and a deadline. When that passes, the socket is closed: the server
ends the session, and all locks of it, as soon as it can. Ctrl-C interrupts such a wait too.

**Limits.** Name servers are asked by the C library, before there is a socket. Several hosts share
one deadline: the second is tried when the first refuses, and not while it says nothing. There are
no transactions but those that statements begin (it is always autocommit), no COPY, and no named
cursors. One thread uses a connection at a time.
"""

from __future__ import annotations

import functools
import select
import time
from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2 import extensions

_CONNECTION_OK = 0  # ConnStatusType in libpq-fe.h

TIMEOUT = 14.0
"""Seconds for which a connection waits for an answer, unless it is told another number."""


class NoAnswer(psycopg2.OperationalError):
    """The server kept its connection open and did not answer in time."""

    def __init__(self, seconds: float, pid: int) -> None:
        self.seconds = seconds
        """How long it was waited for."""
        self.pid = pid
        """The process of the server that did not answer; 0 before the log-in."""
        of = f"session {pid}" if pid else "the server"
        super().__init__(f"no answer from {of} within {seconds:g} s")


class Cursor(extensions.cursor):
    """A cursor whose statements are done when the call returns."""

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - psycopg2's name
        """Execute *query*. Raises NoAnswer if the server does not answer in time."""
        connection = self.connection
        assert isinstance(connection, Connection)
        try:
            super().execute(query, vars)
            connection.wait()
        except psycopg2.Error:
            connection.close_if_broken()
            raise
        except BaseException:  # interrupted: what the statement still says belongs to nobody
            connection.close()
            raise


class Connection(extensions.connection):
    """A connection whose calls return, or raise NoAnswer, within `timeout` seconds."""

    timeout: float = TIMEOUT
    """Seconds to wait for one answer."""

    def wait(self, timeout: float | None = None) -> None:
        """Return when the log-in, or the statement, is done; close the socket if it takes long."""
        seconds = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while (state := self.poll()) != extensions.POLL_OK:
            poller = select.poll()
            poller.register(
                self.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
            )
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                error = NoAnswer(seconds, self.info.backend_pid)
                self.close()
                raise error

    def is_open(self) -> bool:
        """Whether the server keeps it, as far as can be told without asking.

        Nobody is told when a session is ended; but then there is something to be read.
        """
        while not self.closed:
            poller = select.poll()
            poller.register(self.fileno(), select.POLLIN)
            if not poller.poll(0):
                return True
            try:
                self.poll()
            except psycopg2.Error:
                self.close()
            self.close_if_broken()
        return False

    def close_if_broken(self) -> None:
        """Close it if the server has hung up: psycopg2 leaves that to whoever asks next."""
        if not self.closed and self.info.status != _CONNECTION_OK:
            self.close()

    @property
    def autocommit(self) -> bool:  # type: ignore[override]  # it can't be changed
        """Always: what is asynchronous knows no other way."""
        return True


ARGUMENTS: dict[str, Any] = {
    "connection_factory": Connection,
    "cursor_factory": Cursor,
    "async_": True,
    "client_encoding": "UTF8",
}
"""What ``psycopg2.connect`` is to be given for such a connection, which `let_in` then waits for."""


def let_in(connection: Connection, seconds: float) -> Connection:
    """*connection* when it is logged in.

    Raises psycopg2.OperationalError if the server refuses, and NoAnswer, which is one, if it has
    not let us in after *seconds*.
    """
    try:
        connection.wait(seconds)
    except BaseException:
        connection.close()
        raise
    return connection


_OF_ADDRESSES = {"PGHOSTADDR": ("hostaddr", "")}
_OF_SOCKETS = {
    "PGTARGETSESSIONATTRS": ("target_session_attrs", "any"),
    "PGCHANNELBINDING": ("channel_binding", "prefer"),
    "PGREQUIREAUTH": ("require_auth", ""),
    "PGGSSENCMODE": ("gssencmode", "disable"),
    "PGSSLNEGOTIATION": ("sslnegotiation", "postgres"),
    "PGSSLCERTMODE": ("sslcertmode", "allow"),
    "PGMINPROTOCOLVERSION": ("min_protocol_version", "3.0"),
}
"""What libpq takes from the environment and no socket of ours can give, and what to say instead."""


def despite(environ: Mapping[str, str], host: object) -> dict[str, str]:
    """Return what to tell libpq so that *environ* does not change how it reaches *host*.

    ``PGHOSTADDR`` and a service's ``hostaddr`` count for more than the host that a call names. A
    service may set any option (``PGSERVICE``), and what a call says itself counts for more.
    """
    if not host:
        return {}
    neutral = _OF_ADDRESSES | (_OF_SOCKETS if str(host).startswith("/") else {})
    return {
        name: value
        for variable, (name, value) in neutral.items()
        if (variable in environ or "PGSERVICE" in environ) and is_option(name)
    }


@functools.cache
def is_option(name: str) -> bool:
    """Whether libpq itself, in the version at hand, knows a connection option of that name."""
    try:
        extensions.make_dsn(**{name: "1"})
    except psycopg2.ProgrammingError:
        return False
    return True
