"""psycopg 3, asynchronous: stand-ins that share the physical connection of the synchronous ones.

libpq's connection belongs to no event loop, so a test's synchronous and asynchronous connections of
psycopg, on however many loops, are in one transaction. A stand-in is a real
``psycopg.AsyncConnection`` with real cursors, whose waiting is done by the worker thread.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

import psycopg
from psycopg import errors, sql, waiting
from psycopg.rows import tuple_row

from pgsandbox.errors import NotInSandbox
from pgsandbox.sandbox.drivers import psycopg as synchronous
from pgsandbox.sandbox.drivers.psycopg import Physical
from pgsandbox.sandbox.link import Link
from pgsandbox.sandbox.physical import SESSION
from pgsandbox.sandbox.refusals import CLONE
from pgsandbox.sandbox.worker import Worker, drive

__all__ = ["AsyncConnection", "Physical", "adapted", "adopt", "session_of", "stand_in"]


def stand_in(link: Link, parameters: Mapping[str, Any]) -> AsyncConnection:
    """Return what ``AsyncConnection.connect(**parameters)`` is to return inside the sandbox."""
    without = {name: value for name, value in parameters.items() if name != "cursor_factory"}
    made = AsyncConnection(synchronous.stand_in(link, without))
    made.prepare_threshold = None
    made.row_factory = parameters.get("row_factory") or tuple_row
    if parameters.get("cursor_factory"):
        made.cursor_factory = parameters["cursor_factory"]
    if context := parameters.get("context"):
        made._adapters = psycopg.adapt.AdaptersMap(context.adapters)
    return made


def adapted(dialect: Any, made: AsyncConnection, _: Mapping[str, Any]) -> Any:
    """Return *made* as SQLAlchemy's *dialect* wraps its connections; inside of a greenlet."""

    async def creator() -> AsyncConnection:
        return made

    return dialect.dbapi.connect(async_creator_fn=creator)


def adopt(link: Link, real: psycopg.AsyncConnection[Any]) -> AsyncConnection:
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


async def session_of(real: psycopg.AsyncConnection[Any]) -> dict[str, str]:
    """Return the run-time parameters that *real* was given by options and SET."""
    async with real.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SESSION)
        return dict(await cursor.fetchall())


class _NoLock:
    """The worker sends one statement at a time anyway."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


def _same(name: str) -> Any:
    """Return a property that is the synchronous stand-in's."""

    def get(self: AsyncConnection) -> Any:
        return getattr(self._inner, name)

    def ignore(self: AsyncConnection, value: Any) -> None:
        """Only the driver's own constructor sets it."""

    return property(get, ignore)


class AsyncConnection(psycopg.AsyncConnection[Any]):
    """Stands in for an asynchronous psycopg connection."""

    def __init__(self, inner: synchronous.Connection) -> None:
        self._inner = inner
        self.link = inner.link
        self._cursor_base: Any = psycopg.AsyncCursor
        self._server_cursor_base: Any = psycopg.AsyncServerCursor
        super().__init__(inner.pgconn)
        self.lock = _NoLock()  # type: ignore[assignment]
        self._on_notice = self.pgconn.notice_handler

    def __del__(self, _warn: Any = None, /) -> None:
        link = self.__dict__.get("link")
        if link is not None:
            link.abandon()

    pgconn = _same("pgconn")
    info = _same("info")
    closed = _same("closed")
    broken = _same("broken")
    autocommit = _same("autocommit")
    isolation_level = _same("isolation_level")
    read_only = _same("read_only")
    deferrable = _same("deferrable")

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
        self._inner._check_connection_ok()
        self.link.refresh()
        return super().cursor(*args, **kwargs)

    @property
    def worker(self) -> Worker:
        """The thread that sends its statements."""
        return self.link.sandbox.physical.worker  # type: ignore[attr-defined, no-any-return]

    async def run(self, call: Callable[[], Any]) -> Any:
        """Return what *call* returns, run by the worker."""
        __tracebackhide__ = True
        return await self.worker.run(call)

    async def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Run psycopg's conversation with the server to its end."""
        return await self.run(
            functools.partial(waiting.wait, gen, self.pgconn.socket, *args, **kwargs)
        )

    async def commit(self) -> None:
        """Commit in the sandbox."""
        __tracebackhide__ = True
        await self.run(self._inner.commit)

    async def rollback(self) -> None:
        """Roll back in the sandbox."""
        __tracebackhide__ = True
        await self.run(self._inner.rollback)

    async def close(self) -> None:
        """Undo what was not committed; the physical connection stays open."""
        if self.link.in_transaction:
            await self.run(self.link.close)
        else:
            self.link.close()

    async def set_autocommit(self, value: bool) -> None:
        """Set whether each statement stands by itself, outside of a transaction."""
        self._inner.set_autocommit(value)

    async def set_isolation_level(self, value: psycopg.IsolationLevel | None) -> None:
        """Set the level, outside of a transaction."""
        self._inner.set_isolation_level(value)

    async def set_read_only(self, value: bool | None) -> None:
        """Set whether writes are refused, outside of a transaction."""
        self._inner.set_read_only(value)

    async def set_deferrable(self, value: bool | None) -> None:
        """Remember what was asked for, outside of a transaction."""
        self._inner.set_deferrable(value)

    @contextlib.asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """A block that commits at its end: a transaction, or a savepoint inside of one."""
        is_outer = not self.link.in_transaction
        name = savepoint_name or f"pg3_{next(self._inner._savepoints)}"
        block = psycopg.AsyncTransaction(self, name, force_rollback)
        if is_outer:
            self.link.begin()
        if not is_outer or savepoint_name:
            await self._run(sql.SQL("SAVEPOINT {}").format(sql.Identifier(name)))
        self._inner._num_transactions += 1
        try:
            yield block
        except BaseException as error:
            self._inner._num_transactions -= 1
            await self._end_block(name, is_outer=is_outer, is_rollback=True)
            if isinstance(error, psycopg.Rollback) and error.transaction in (None, block):
                return
            raise
        else:
            self._inner._num_transactions -= 1
            await self._end_block(name, is_outer=is_outer, is_rollback=force_rollback)

    def pipeline(self) -> Any:
        """A pipeline mixes the statements of one connection only, so a sandbox can't hold it.

        Raises:
            NotInSandbox: always.
        """
        raise NotInSandbox("A sandboxed test can't run a psycopg pipeline.", remedy=CLONE)

    async def tpc_begin(self, xid: object) -> None:
        """Two-phase commit outlives a connection, so a sandbox can't hold it.

        Raises:
            NotInSandbox: always.
        """
        raise NotInSandbox("A sandboxed test can't hold a two-phase transaction.", remedy=CLONE)

    async def _end_block(self, name: str, *, is_outer: bool, is_rollback: bool) -> None:
        if is_outer:
            await self.run(self.link.rollback if is_rollback else self.link.commit)
            return
        if is_rollback:
            await self._run(sql.SQL("ROLLBACK TO SAVEPOINT {}").format(sql.Identifier(name)))
        await self._run(sql.SQL("RELEASE SAVEPOINT {}").format(sql.Identifier(name)))

    async def _run(self, statement: sql.Composed) -> None:
        async with self.cursor() as cursor:
            await cursor.execute(statement)


class _AsksSandbox:
    """Mixed into a cursor class: each statement passes through the stand-in's sandbox."""

    _conn: AsyncConnection

    async def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        send = functools.partial(super().execute, query, *args, **kwargs)  # type: ignore[misc]
        if "set_config" in str(query) and args and args[0] is not None:
            query = psycopg.ClientCursor(self._conn._inner).mogrify(query, args[0])
        await self._send(query, send)
        return self

    async def executemany(self, query: Any, params_seq: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        executemany = super().executemany  # type: ignore[misc]
        await self._send(query, functools.partial(executemany, query, params_seq, **kwargs))

    async def stream(self, query: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        stream = super().stream  # type: ignore[misc]
        rows: list[Any] = []

        async def collect() -> None:
            rows.extend([row async for row in stream(query, *args, **kwargs)])

        await self._send(query, collect)
        for row in rows:
            yield row

    @contextlib.asynccontextmanager
    async def copy(self, statement: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        copying = super().copy(statement, *args, **kwargs)  # type: ignore[misc]
        run, link = self._conn.run, self._conn.link
        link.refresh()
        block = link.sandbox.block(link.state, synchronous._text(statement, self._conn._inner))
        with self._conn.worker.held():
            await run(block.__enter__)
            try:
                copy = await run(lambda: drive(copying.__aenter__()))
                try:
                    yield copy
                except BaseException:
                    error = sys.exc_info()
                    if not await run(lambda: drive(copying.__aexit__(*error))):
                        raise
                else:
                    await run(lambda: drive(copying.__aexit__(None, None, None)))
            except BaseException:
                failed = sys.exc_info()
                if not await run(lambda: block.__exit__(*failed)):
                    raise
            else:
                await run(lambda: block.__exit__(None, None, None))

    async def _send(self, query: Any, send: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        __tracebackhide__ = True
        inner = self._conn._inner
        inner._check_connection_ok()
        text = synchronous._text(query, inner)
        await self._conn.run(functools.partial(self._send_here, text, send))

    def _send_here(self, text: str, send: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        __tracebackhide__ = True
        connection = self._conn
        connection.pgconn.notice_handler = connection._on_notice
        is_recorded = text != "FETCH"
        return connection.link.run(
            text, functools.partial(self._send_now, send), is_recorded=is_recorded
        )

    def _send_now(self, send: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        __tracebackhide__ = True
        with self._conn.worker.sending():
            return drive(send())


class _AsksToFetch(_AsksSandbox):
    """Mixed into the class of a server-side cursor, which sends a statement to fetch, too.

    It ends with its transaction, which here is not the physical connection's.
    """

    _opened_in: tuple[Any, int] | None = None
    _withhold: bool
    _name: str
    closed: bool

    async def fetchone(self) -> Any:
        return await self._fetch(super().fetchone)  # type: ignore[misc]

    async def fetchmany(self, size: int = 0) -> Any:
        return await self._fetch(functools.partial(super().fetchmany, size))  # type: ignore[misc]

    async def fetchall(self) -> Any:
        return await self._fetch(super().fetchall)  # type: ignore[misc]

    async def scroll(self, value: int, mode: str = "relative") -> None:
        await self._fetch(functools.partial(super().scroll, value, mode))  # type: ignore[misc]

    async def __anext__(self) -> Any:
        following = super().__anext__  # type: ignore[misc]

        async def row() -> Any:
            try:
                return (await following(),)
            except StopAsyncIteration:
                return None

        found = await self._fetch(row)
        if found is None:
            raise StopAsyncIteration
        return found[0]

    async def close(self) -> None:
        link = self._conn.link
        is_gone = link.has_failed or (self._has_ended() and not self._withhold)
        if self.closed or self._conn.closed or is_gone:
            await psycopg.AsyncCursor.close(self)  # type: ignore[arg-type]  # without CLOSE
        else:
            await self._fetch(super().close)  # type: ignore[misc]

    async def _send(self, query: Any, send: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        await super()._send(query, send)
        self._opened_in = self._conn.link.transaction

    def _has_ended(self) -> bool:
        return self._opened_in is not None and self._opened_in != self._conn.link.transaction

    async def _fetch(self, fetch: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        __tracebackhide__ = True
        self._conn._inner._check_connection_ok()
        if self._has_ended() and not self._withhold:
            raise errors.InvalidCursorName(f'cursor "{self._name}" does not exist')
        return await self._conn.run(functools.partial(self._send_here, "FETCH", fetch))


@functools.cache
def _cursor_class(base: type[Any]) -> type[Any]:
    mixin = _AsksToFetch if issubclass(base, psycopg.AsyncServerCursor) else _AsksSandbox
    return type(base.__name__, (mixin, base), {"__module__": base.__module__})
