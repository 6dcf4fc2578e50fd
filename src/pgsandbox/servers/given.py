"""A server that somebody gives by URL: connect to it, or say exactly why that is impossible.

The URL's own database usually does not exist yet, so another one is asked first: ``postgres``, then
``template1``; the URL's own only if the server lets the role into neither.
"""

from __future__ import annotations

import getpass
import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NoReturn

from sqlalchemy.engine import URL

from pgsandbox.connections import Connection, NoAnswer
from pgsandbox.errors import (
    Fact,
    LoginRefused,
    NotPostgreSQL,
    ServerNotReady,
    ServerTooOld,
    ServerUnreachable,
    TooFewConnections,
)
from pgsandbox.servers import libpq, poolers, probing
from pgsandbox.servers.server import Server

OLDEST_VERSION = 140000

# Log-ins and the question who answers share one limit; what a stalled name server takes counts too.
_LIMIT = 9.0
_LIMIT_OF_ONE_LOGIN = 4.0
_LIMIT_OF_ASKING = 3.0
_LIMIT_OF_A_GLANCE = 2.0

# SQLSTATE classes of a server that is there and cannot take us now (PostgreSQL manual, appendix A).
_FULL = "53300"
_FULL_AFTER_LOGIN = ("too many connections for", "remaining connection slots are reserved")
_TIMED_OUT = "timeout expired"

# Debian's, and the one that PostgreSQL has unless told otherwise when it is built.
_DEFAULT_SOCKETS = ("/var/run/postgresql", "/tmp")  # noqa: S108 - nothing is written there


def given(url: URL, *, reason: str, source: str) -> Server:
    """The server at *url*, proven to let its role in and to be recent enough.

    *source* names where the URL comes from, for messages. A server that is still starting is
    waited for. Raises ServerUnreachable, NotPostgreSQL, LoginRefused, ServerTooOld, ServerNotReady
    for one that goes on starting, TooFewConnections for one that is full, or PoolerInBetween for
    a pooler in transaction mode, each within 15 s.
    """
    target = libpq.normalised(url)
    there, connection = _log_in(target, source, time.monotonic() + _LIMIT)
    with closing(connection):
        poolers.require_own_session(
            connection, lambda: libpq.connect(there, seconds=_LIMIT_OF_ASKING), target, source
        )
        version = connection.server_version
        version_text = (connection.get_parameter_status("server_version") or "").split(" ")[0]
    if version < OLDEST_VERSION:
        raise ServerTooOld(
            f"The server at {_place(target)} is PostgreSQL {version_text}, and pgsandbox needs "
            f"{OLDEST_VERSION // 10000} or later.",
            facts=[Fact("url", libpq.masked(target), source)],
            remedy=f"Point {source} at a newer server.",
        )
    return Server("given", there, reason, version, version_text)


def answers(url: URL) -> bool:
    """Whether a PostgreSQL that accepts the role of *url* answers there, within 2 seconds."""
    deadline = time.monotonic() + _LIMIT_OF_A_GLANCE
    for there in _maintenance_urls(libpq.normalised(url)):
        outcome = _attempt(there, deadline - time.monotonic())
        if isinstance(outcome, Connection):
            outcome.close()
            return True
        if outcome is None:
            return False
    return False


def _log_in(target: URL, source: str, deadline: float) -> tuple[URL, Connection]:
    """The first maintenance database that lets the role in, and a connection to it."""
    while True:
        outcome: Connection | Exception | None = None
        for there in _maintenance_urls(target):
            began = time.monotonic()
            outcome = _attempt(there, min(_LIMIT_OF_ONE_LOGIN, deadline - began))
            if isinstance(outcome, Connection):
                return there, outcome
            # Another database changes nothing for a wrong password or a connection that stalls,
            # and three failures in a row lock some accounts.
            if "password authentication failed" in str(outcome) or time.monotonic() - began > 1:
                break
        answer = _ask(target, min(_LIMIT_OF_ASKING, max(deadline - time.monotonic(), 0.1)))
        starting = answer.sqlstate == probing.STARTING
        slow = answer.who == "postgresql" and outcome is None
        if not (starting or slow) or time.monotonic() + 1 > deadline:
            _refuse(target, source, answer, outcome)
        time.sleep(0.2)


def _maintenance_urls(target: URL) -> Iterator[URL]:
    names = ("postgres", "template1", target.database or "postgres")
    for name in dict.fromkeys(names):
        yield target.set(database=name)


def _attempt(url: URL, seconds: float) -> Connection | Exception | None:
    """A connection, what psycopg2 raised, or None if neither came within *seconds*.

    libpq's own limit knows neither the time a name server takes nor that a host has several
    addresses, so a thread waits for libpq and we wait for the thread. A connection that comes too
    late is closed with the queue that nobody reads.
    """
    outcome: queue.SimpleQueue[Connection | Exception] = queue.SimpleQueue()

    def log_in() -> None:
        try:
            outcome.put(libpq.connect(url, seconds=max(0.01, seconds)))
        except Exception as error:  # noqa: BLE001 - also what it can't decode of a stranger's answer
            outcome.put(error)

    threading.Thread(target=log_in, name="pgsandbox log-in", daemon=True).start()
    try:
        found = outcome.get(timeout=max(seconds, 0.01))
    except queue.Empty:
        return None
    # Both limits of the log-in's own may end first; their errors are no refusals.
    is_late = isinstance(found, NoAnswer) or (
        isinstance(found, Exception) and _TIMED_OUT in str(found)
    )
    return None if is_late else found


def _ask(target: URL, seconds: float) -> probing.Answer:
    """Who answers at the addresses of *target*: the first PostgreSQL, else the first answer."""
    keywords = libpq.arguments(target)
    hosts = str(keywords.get("hostaddr") or keywords.get("host") or "").split(",")
    ports = str(keywords.get("port") or "").split(",")
    if hosts == [""]:
        hosts = list(_DEFAULT_SOCKETS)
    first: probing.Answer | None = None
    for number, host in enumerate(hosts):
        port = ports[number] if len(ports) == len(hosts) else ports[0]
        answer = probing.ask(
            host,
            int(port or 5432),
            role=_role(target),
            database="postgres",
            seconds=seconds / len(hosts),
        )
        if answer.who == "postgresql":
            return answer
        first = first or answer
    assert first is not None
    return first


def _refuse(
    target: URL, source: str, answer: probing.Answer, outcome: Connection | Exception | None
) -> NoReturn:
    """Raise the error that fits what answered and what psycopg2 met."""
    place = _place(target)
    url = Fact("url", libpq.masked(target), source)
    said = " ".join(dict.fromkeys(str(outcome).split("\n"))).strip() if outcome else answer.said
    if answer.who == "nobody":
        raise ServerUnreachable(
            f"Nothing answers at {place}.",
            facts=[url, Fact("system said", answer.said)],
            remedy=f"Start the server, or correct host and port in {source}.",
        )
    if answer.who == "stranger":
        raise NotPostgreSQL(
            f"What answers at {place} is not PostgreSQL: it {answer.said}.",
            facts=[url],
            remedy=f"Correct host and port in {source}.",
        )
    if answer.sqlstate == probing.STARTING:
        raise ServerNotReady(
            f"The server at {place} is starting or stopping, and takes nobody in yet.",
            facts=[url, Fact("server said", answer.said)],
            remedy="Wait until it is up, then run again.",
        )
    if answer.sqlstate == _FULL or any(words in said for words in _FULL_AFTER_LOGIN):
        raise TooFewConnections(
            f"The server at {place} has no connection left for this role.",
            facts=[url, Fact("server said", said)],
            remedy="End some of its other connections, or raise max_connections.",
        )
    if outcome is None:
        raise ServerUnreachable(
            f"The PostgreSQL at {place} did not finish a log-in within {_LIMIT:.0f} s.",
            facts=[url, Fact("server said", answer.said)],
            remedy="Look at the load and the log of that server.",
        )
    raise LoginRefused(
        f'The server at {place} refuses the log-in of role "{_role(target)}".',
        facts=[url, Fact("server said", said)],
        remedy=f"Correct role, password or sslmode in {source}, or let the role in (pg_hba.conf).",
    )


def _role(target: URL) -> str:
    """Who logs in: the URL's role, or the one that libpq takes instead."""
    named = target.username or os.environ.get("PGUSER")
    try:
        return named or getpass.getuser()
    except (KeyError, OSError):  # a user id that the system has no name for, as in containers
        return str(os.geteuid())


def _place(target: URL) -> str:
    return libpq.place(libpq.arguments(target))
