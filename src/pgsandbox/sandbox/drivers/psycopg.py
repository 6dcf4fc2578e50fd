"""psycopg 3: the physical connection, and the stand-ins that share it.

A stand-in is a real ``psycopg.Connection`` on the physical connection's own ``PGconn``, with the
methods that begin and end transactions overridden, so that everything which takes a connection of
psycopg takes a stand-in.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import psycopg
from psycopg import errors, pq, sql
from psycopg.rows import tuple_row

from pgsandbox.errors import NotInSandbox
from pgsandbox.sandbox.link import Link
from pgsandbox.sandbox.physical import SESSION, Status
from pgsandbox.sandbox.refusals import CLONE
from pgsandbox.sandbox.worker import Worker

_STATUS = {
    pq.TransactionStatus.IDLE: Status.IDLE,
    pq.TransactionStatus.ACTIVE: Status.ACTIVE,
    pq.TransactionStatus.INTRANS: Status.IN_TRANSACTION,
    pq.TransactionStatus.INERROR: Status.IN_ERROR,
    pq.TransactionStatus.UNKNOWN: Status.LOST,
}


class Physical:
    """A real psycopg connection, whose transaction only the sandbox begins and ends."""

    driver = "psycopg"

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw
        raw.autocommit = True
        self.worker = Worker(self.cancel)
        """Sends the statements of asynchronous connections, which share it."""

    def execute(self, sql: str) -> None:
        """Run *sql* without parameters, by the simple protocol."""
        self._run(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run *sql* and return the rows of its last statement, integers and booleans converted."""
        result = self._run(sql)
        with self.raw.cursor(row_factory=tuple_row) as cursor:
            transformer = psycopg.adapt.Transformer(cursor)
            transformer.set_pgresult(result)
            return transformer.load_rows(0, result.ntuples, tuple)

    def status(self) -> Status:
        """Return what libpq knows of the transaction."""
        if self.raw.pgconn.status == pq.ConnStatus.BAD:
            return Status.LOST
        return _STATUS[pq.TransactionStatus(self.raw.pgconn.transaction_status)]

    def fileno(self) -> int:
        """Return the descriptor of its socket."""
        return int(self.raw.fileno())

    def cancel(self) -> None:
        """Ask the server to stop the running statement."""
        with contextlib.suppress(psycopg.Error):
            self.raw.cancel()

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(psycopg.Error):
            self.raw.close()
        self.worker.stop()

    def _run(self, sql: str) -> Any:
        result = self.raw.pgconn.exec_(sql.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise errors.error_from_result(result)
        return result


def open_physical(parameters: Mapping[str, Any]) -> Physical:
    """Connect as ``psycopg.connect(**parameters)`` does."""
    return Physical(psycopg.connect(**{"application_name": "pgsandbox", **parameters}))


def stand_in(link: Link, parameters: Mapping[str, Any]) -> Connection:
    """Return what ``psycopg.connect(**parameters)`` is to return inside the sandbox."""
    made = Connection(link)
    made.prepare_threshold = None
    made.row_factory = parameters.get("row_factory") or tuple_row
    if parameters.get("cursor_factory"):
        made.cursor_factory = parameters["cursor_factory"]
    if context := parameters.get("context"):
        made._adapters = psycopg.adapt.AdaptersMap(context.adapters)
    link.state.autocommit = bool(parameters.get("autocommit"))
    return made


def adopt(link: Link, real: psycopg.Connection[Any]) -> Connection:
    """Return what is to take the place of *real*, which the application made itself."""
    made = stand_in(
        link,
        {
            "row_factory": real.row_factory,
            "cursor_factory": real.cursor_factory,
            "context": real,
            "autocommit": real.autocommit,
        },
    )
    made.server_cursor_factory = real.server_cursor_factory
    return made


def session_of(real: psycopg.Connection[Any]) -> dict[str, str]:
    """Return the run-time parameters that *real* was given by options and SET."""
    with real.cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(SESSION).fetchall())


class Connection(psycopg.Connection[Any]):
    """Stands in for a psycopg connection."""

    def __init__(self, link: Link) -> None:
        self.link = link
        super().__init__(link.sandbox.physical.raw.pgconn)  # type: ignore[attr-defined]
        self.lock = link.sandbox.lock  # type: ignore[assignment]  # one statement at a time
        self._on_notice = self.pgconn.notice_handler
        self._cursor_base: Any = psycopg.Cursor
        self._server_cursor_base: Any = psycopg.ServerCursor
        self._savepoints = itertools.count(1)

    def __del__(self, _warn: Any = None, /) -> None:
        link = self.__dict__.get("link")
        if link is not None:
            link.abandon()

    @property
    def pgconn(self) -> Any:
        """The physical connection's, whichever it is in the running test."""
        return self.link.sandbox.physical.raw.pgconn  # type: ignore[attr-defined]

    @pgconn.setter
    def pgconn(self, value: Any) -> None:
        pass

    @property
    def info(self) -> psycopg.ConnectionInfo:
        """The physical connection's properties, and where this one's transaction stands."""
        return _Info(self)

    @property
    def cursor_factory(self) -> Any:
        """The class of its cursors, which ask the sandbox first."""
        return _cursor_class(self._cursor_base)

    @cursor_factory.setter
    def cursor_factory(self, value: Any) -> None:
        self._cursor_base = value

    @property
    def server_cursor_factory(self) -> Any:
        """The class of its server-side cursors, which ask the sandbox first."""
        return _cursor_class(self._server_cursor_base)

    @server_cursor_factory.setter
    def server_cursor_factory(self, value: Any) -> None:
        self._server_cursor_base = value

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a cursor that asks the sandbox first."""
        self._check_connection_ok()
        self.link.refresh()
        self.lock = self.link.sandbox.lock  # type: ignore[assignment]
        return super().cursor(*args, **kwargs)

    def commit(self) -> None:
        """Commit in the sandbox."""
        __tracebackhide__ = True
        self._check_connection_ok()
        self._check_not_in_block("commit")
        self.link.commit()

    def rollback(self) -> None:
        """Roll back in the sandbox."""
        __tracebackhide__ = True
        self._check_connection_ok()
        self._check_not_in_block("rollback")
        self.link.rollback()

    def close(self) -> None:
        """Undo what was not committed; the physical connection stays open."""
        self.link.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed, or the physical connection is gone."""
        return self.link.is_closed or self.pgconn.status == pq.ConnStatus.BAD

    @property
    def broken(self) -> bool:
        """Whether the physical connection is gone."""
        return not self.link.is_closed and self.pgconn.status == pq.ConnStatus.BAD

    @property
    def autocommit(self) -> bool:
        """Whether each statement stands by itself."""
        return self.link.state.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.set_autocommit(value)

    def set_autocommit(self, value: bool) -> None:
        """Set whether each statement stands by itself, outside of a transaction."""
        self._check_idle("autocommit")
        self.link.refresh()
        self.link.state.autocommit = value

    @property
    def isolation_level(self) -> psycopg.IsolationLevel | None:
        """The level that was asked for; None for the server's default."""
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, value: psycopg.IsolationLevel | None) -> None:
        self.set_isolation_level(value)

    def set_isolation_level(self, value: psycopg.IsolationLevel | None) -> None:
        """Set the level, outside of a transaction."""
        self._check_idle("isolation_level")
        if value is not None and value > psycopg.IsolationLevel.READ_COMMITTED:
            self.link.refuse_isolation_level(psycopg.IsolationLevel(value).name.replace("_", " "))
        self._isolation_level = None if value is None else psycopg.IsolationLevel(value)

    @property
    def read_only(self) -> bool | None:
        """What was asked for; None for the server's default, which is to write."""
        return self._read_only

    @read_only.setter
    def read_only(self, value: bool | None) -> None:
        self.set_read_only(value)

    def set_read_only(self, value: bool | None) -> None:
        """Set whether writes are refused, outside of a transaction."""
        self._check_idle("read_only")
        self._read_only = value
        self.link.refresh()
        self.link.state.is_read_only = bool(value)

    @property
    def deferrable(self) -> bool | None:
        """What was asked for; it means something on a serializable transaction only."""
        return self._deferrable

    @deferrable.setter
    def deferrable(self, value: bool | None) -> None:
        self.set_deferrable(value)

    def set_deferrable(self, value: bool | None) -> None:
        """Remember what was asked for, outside of a transaction."""
        self._check_idle("deferrable")
        self._deferrable = value

    @contextlib.contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """A block that commits at its end: a transaction, or a savepoint inside of one."""
        is_outer = not self.link.in_transaction
        name = savepoint_name or f"pg3_{next(self._savepoints)}"
        block = psycopg.Transaction(self, name, force_rollback)
        if is_outer:
            self.link.begin()
        if not is_outer or savepoint_name:
            self._run(sql.SQL("SAVEPOINT {}").format(sql.Identifier(name)))
        self._num_transactions += 1
        try:
            yield block
        except BaseException as error:
            self._num_transactions -= 1
            self._end_block(name, is_outer=is_outer, is_rollback=True)
            if isinstance(error, psycopg.Rollback) and error.transaction in (None, block):
                return
            raise
        else:
            self._num_transactions -= 1
            self._end_block(name, is_outer=is_outer, is_rollback=force_rollback)

    def pipeline(self) -> Any:
        """A pipeline mixes the statements of one connection only, so a sandbox can't hold it.

        Raises:
            NotInSandbox: always.
        """
        raise NotInSandbox("A sandboxed test can't run a psycopg pipeline.", remedy=CLONE)

    def tpc_begin(self, xid: object) -> None:
        """Two-phase commit outlives a connection, so a sandbox can't hold it.

        Raises:
            NotInSandbox: always.
        """
        raise NotInSandbox("A sandboxed test can't hold a two-phase transaction.", remedy=CLONE)

    def _end_block(self, name: str, *, is_outer: bool, is_rollback: bool) -> None:
        if is_outer:
            (self.link.rollback if is_rollback else self.link.commit)()
            return
        if is_rollback:
            self._run(sql.SQL("ROLLBACK TO SAVEPOINT {}").format(sql.Identifier(name)))
        self._run(sql.SQL("RELEASE SAVEPOINT {}").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with self.cursor() as cursor:
            cursor.execute(statement)

    def _check_connection_ok(self) -> None:
        if self.link.is_closed:
            raise psycopg.OperationalError("the connection is closed")
        super()._check_connection_ok()

    def _check_not_in_block(self, what: str) -> None:
        if self._num_transactions:
            raise psycopg.ProgrammingError(
                f"Explicit {what}() forbidden within a Transaction context."
            )

    def _check_idle(self, what: str) -> None:
        if self.link.in_transaction:
            raise psycopg.ProgrammingError(
                f"can't change {what!r} now: connection in transaction status INTRANS"
            )


class _Info(psycopg.ConnectionInfo):
    """What psycopg tells of a connection."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.pgconn)
        self._link = connection.link

    @property
    def transaction_status(self) -> pq.TransactionStatus:
        """Where the transaction of this connection stands, not that of the test."""
        if self._link.has_failed:
            return pq.TransactionStatus.INERROR
        in_transaction = self._link.in_transaction
        return pq.TransactionStatus.INTRANS if in_transaction else pq.TransactionStatus.IDLE


class _AsksSandbox:
    """Mixed into a cursor class: each statement passes through the stand-in's sandbox."""

    _conn: Connection

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        send = functools.partial(super().execute, query, *args, **kwargs)  # type: ignore[misc]
        if "set_config" in str(query) and args and args[0] is not None:
            query = psycopg.ClientCursor(self._conn).mogrify(query, args[0])
        self._send(query, send)
        return self

    def executemany(self, query: Any, params_seq: Iterable[Any], **kwargs: Any) -> None:
        __tracebackhide__ = True
        executemany = super().executemany  # type: ignore[misc]
        send = functools.partial(executemany, query, params_seq, **kwargs)
        self._send(query, send)

    def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        send = functools.partial(super().stream, query, *args, **kwargs)  # type: ignore[misc]
        rows: list[Any] = []
        self._send(query, lambda: rows.extend(send()))
        yield from rows

    @contextlib.contextmanager
    def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        copying = functools.partial(super().copy, statement, *args, **kwargs)  # type: ignore[misc]
        link = self._conn.link
        link.refresh()
        with link.sandbox.block(link.state, _text(statement, self._conn)), copying() as copy:
            yield copy

    def _send(self, query: Any, send: Callable[[], Any]) -> None:
        __tracebackhide__ = True
        self._conn._check_connection_ok()
        self._conn.pgconn.notice_handler = self._conn._on_notice
        self._conn.link.run(_text(query, self._conn), send)


class _AsksToFetch(_AsksSandbox):
    """Mixed into the class of a server-side cursor, which sends a statement to fetch, too.

    It ends with its transaction, which here is not the physical connection's.
    """

    _opened_in: tuple[Any, int] | None = None
    _withhold: bool
    _name: str
    closed: bool

    def fetchone(self) -> Any:
        return self._fetch(super().fetchone)  # type: ignore[misc]

    def fetchmany(self, size: int = 0) -> Any:
        return self._fetch(functools.partial(super().fetchmany, size))  # type: ignore[misc]

    def fetchall(self) -> Any:
        return self._fetch(super().fetchall)  # type: ignore[misc]

    def scroll(self, value: int, mode: str = "relative") -> None:
        self._fetch(functools.partial(super().scroll, value, mode))  # type: ignore[misc]

    def __next__(self) -> Any:
        return self._fetch(super().__next__)  # type: ignore[misc]

    def close(self) -> None:
        link = self._conn.link
        is_gone = link.has_failed or (self._has_ended() and not self._withhold)
        if self.closed or self._conn.closed or is_gone:
            psycopg.Cursor.close(self)  # type: ignore[arg-type]  # without CLOSE
        else:
            self._fetch(super().close)  # type: ignore[misc]

    def _send(self, query: Any, send: Callable[[], Any]) -> None:
        super()._send(query, send)
        self._opened_in = self._conn.link.transaction

    def _has_ended(self) -> bool:
        return self._opened_in is not None and self._opened_in != self._conn.link.transaction

    def _fetch(self, fetch: Callable[[], Any]) -> Any:
        self._conn._check_connection_ok()
        if self._has_ended() and not self._withhold:
            raise errors.InvalidCursorName(f'cursor "{self._name}" does not exist')
        return self._conn.link.run("FETCH", fetch, is_recorded=False)


@functools.cache
def _cursor_class(base: type[Any]) -> type[Any]:
    mixin = _AsksToFetch if issubclass(base, psycopg.ServerCursor) else _AsksSandbox
    return type(base.__name__, (mixin, base), {"__module__": base.__module__})


def _text(query: Any, connection: Connection) -> str:
    if isinstance(query, sql.Composable):
        return query.as_string(connection)
    return query.decode() if isinstance(query, bytes) else str(query)
