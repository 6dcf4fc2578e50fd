"""What asynchronous code leaves behind when its event loop is gone: connections, sessions, queues.

A test ends outside of any loop, in a hook of pytest, and often its loop is closed by then. So
nothing here awaits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Coroutine
from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import IllegalStateChangeError
from sqlalchemy.orm import Session
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool
from sqlalchemy.util import greenlet_spawn

_ACTIVE, _BAD = 1, 1
"""PGTransactionStatusType and ConnStatusType in libpq-fe.h."""
_READS = 1000
"""After so many the end of what a server had sent must have come."""


def close_session(session: Session, *, in_clone: bool = False) -> None:
    """Close *session*, which may be an AsyncSession's, whatever has become of its event loop.

    Whoever is *in_clone* need not undo anything, and so does not wait for the server. Where a task
    or a thread is in the middle of an operation on it, SQLAlchemy refuses to close it. Whoever
    shared it so was told by an error already, and nobody will use it again.
    """
    found = [each for each in _connections_of(session) if in_clone or each.dialect.is_async]
    for connection in found:
        abandon(connection.connection._connection_record)
    with contextlib.suppress(IllegalStateChangeError):
        if found:
            _run_at_once(greenlet_spawn(session.invalidate))
        else:
            session.close()


def close_connection(connection: Connection, *, in_clone: bool) -> None:
    """Close *connection*, which is no asynchronous one; see `close_session`."""
    if in_clone:
        give_up(connection)
    connection.close()


def give_up(connection: Connection) -> None:
    """Let *connection* be without one of its driver, and end that without a word to the server."""
    if not (connection.closed or connection.invalidated):
        abandon(cast(Any, connection.connection)._connection_record)
        connection.invalidate()


def abandon(record: Any) -> None:
    """Close the connection of a pool's *record*, in which the pool then finds none.

    The pool's own way to end an asynchronous connection awaits its driver, on a loop that may be
    closed, or another one.
    """
    if record is not None and record.dbapi_connection is not None:
        close_real(record.dbapi_connection)
        record.dbapi_connection = None


def close_real(connection: Any) -> None:
    """Close a real *connection* of whatever driver, as SQLAlchemy wraps it."""
    driver = getattr(connection, "driver_connection", connection)
    if hasattr(driver, "_transport") and hasattr(driver, "_abort"):
        _close_asyncpg(driver)
    elif hasattr(driver, "pgconn"):
        _close_psycopg(driver)
    else:
        connection.close()


def forget_loop(pool: Pool) -> None:
    """Let *pool* be used on another loop, although tasks of an earlier one have queued for it.

    An asyncio.Queue belongs to the first loop in which somebody had to wait for it, also when that
    loop is closed. An application's pool meets one loop in its life; in tests it meets many.
    """
    if isinstance(pool, AsyncAdaptedQueuePool):
        queue = vars(getattr(pool, "_pool", None) or object).get("_queue")
        loop = getattr(queue, "_loop", None)
        if queue is not None and loop is not None and loop.is_closed():
            queue._loop = None
            queue._getters.clear()
            queue._putters.clear()


def _connections_of(session: Session) -> list[Any]:
    transaction = session.get_transaction()
    if transaction is None:
        return []
    return [each[0] for each in transaction._connections.values()]


def close_ended() -> None:
    """Close the connections that a loop was asked to close, and which it outlived by nothing."""
    for ending in _ending[:]:
        driver, transport = ending
        is_closed = getattr(transport, "_sock", None) is None
        if not is_closed and driver._loop.is_closed():
            is_closed = True
            _close_socket(driver, transport)
        if is_closed:
            _ending.remove(ending)


_ending: list[tuple[Any, Any]] = []
"""asyncpg's connections, with their transports, that loops of other threads were asked to close."""


def _close_asyncpg(driver: Any) -> None:
    loop: asyncio.AbstractEventLoop = driver._loop
    transport = driver._transport
    if driver.is_closed():
        return
    try:
        if _runs_elsewhere(loop):
            _ending.append((driver, transport))
            loop.call_soon_threadsafe(driver.terminate)
            return
        if not loop.is_closed():
            driver.terminate()
            if not loop.is_running():
                once = asyncio.sleep(0)
                with contextlib.closing(once), contextlib.suppress(RuntimeError):
                    loop.run_until_complete(once)  # unless this thread runs another one
            return
    except RuntimeError:  # another thread has just closed the loop
        if not loop.is_closed():
            raise
    _close_socket(driver, transport)


def _close_psycopg(driver: Any) -> None:
    """Close the connection of *driver*, psycopg's, without awaiting its close().

    A task or a thread in the middle of a statement still has libpq's structure, and reads it when
    it goes on: where finish() freed it, the process crashed. So it is left to them, and they are
    told that the server has hung up.
    """
    pgconn = driver.pgconn
    if pgconn.transaction_status != _ACTIVE:
        pgconn.finish()
        return
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(pgconn.socket)) as its_socket:
        its_socket.shutdown(socket.SHUT_RDWR)
    if isinstance(driver.lock, asyncio.Lock) or not driver.lock.locked():
        # No thread reads it, and psycopg would warn of a connection that is collected open.
        for _ in range(_READS):
            with contextlib.suppress(Exception):
                pgconn.consume_input()
            if pgconn.status == _BAD:
                break


def _runs_elsewhere(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether another thread runs *loop*, so that nothing of its can be touched in this one."""
    if not loop.is_running():
        return False
    try:
        return asyncio.get_running_loop() is not loop
    except RuntimeError:
        return True


def _close_socket(driver: Any, transport: Any) -> None:
    """Close the connection of *driver*, whose loop is closed."""
    driver._aborted = True  # its __del__ would warn that nobody closed it
    if getattr(transport, "_sock", None) is not None:  # uvloop has closed it with itself
        transport._closing = True
        transport._sock.close()
        transport._sock = None  # and so would the transport's


def _run_at_once(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run *coroutine* to its end; it waits for nothing, since what it would wait for is closed."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
