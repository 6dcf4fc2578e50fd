"""asyncpg's prepared statements and cursors, which ask the sandbox first."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

from asyncpg import cursor, exceptions, prepared_stmt


class PreparedStatement(prepared_stmt.PreparedStatement):  # type: ignore[misc]
    """A prepared statement of a stand-in.

    On the server it has no name and is parsed whenever it is run, since its connection outlives the
    test that prepared it; so it never meets the "cached plan" of an earlier definition.
    """

    def __init__(self, connection: Any, query: str, state: Any, name: str | None) -> None:
        super().__init__(connection, query, state)
        self._name = name or connection._get_unique_id("stmt")

    def get_name(self) -> str:
        """Return the name that was asked for, or one of its own."""
        return self._name

    def cursor(
        self, *args: Any, prefetch: int | None = None, timeout: float | None = None
    ) -> CursorFactory:
        """Return what makes a cursor of it."""
        self._check_conn_validity("cursor")
        state = self._state
        return CursorFactory(
            self._connection, self._query, state, args, prefetch, timeout, state.record_class
        )


def _asking(name: str) -> Callable[..., Any]:
    method = getattr(prepared_stmt.PreparedStatement, name)

    @functools.wraps(method)
    async def asking(self: PreparedStatement, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        call = functools.partial(method, self, *args, **kwargs)
        return await self._connection.send(self._query, call)

    return asking


for _name in ("fetch", "fetchval", "fetchrow", "fetchmany", "executemany"):
    setattr(PreparedStatement, _name, _asking(_name))


class Control:
    """A prepared SAVEPOINT or COMMIT, which never reaches the server as it is."""

    def __init__(self, connection: Any, query: str) -> None:
        self._connection = connection
        self._query = query
        self._status: str | None = None

    def get_name(self) -> str:
        """Return no name, as that of a statement that was not sent."""
        return ""

    def get_query(self) -> str:
        """Return its text."""
        return self._query

    def get_statusmsg(self) -> str | None:
        """Return the status of its last execution."""
        return self._status

    def get_parameters(self) -> tuple[Any, ...]:
        """Return no parameters."""
        return ()

    def get_attributes(self) -> tuple[Any, ...]:
        """Return no columns."""
        return ()

    async def fetch(self, *_: Any, timeout: float | None = None) -> list[Any]:
        """Run it, and return no rows."""
        __tracebackhide__ = True
        self._status = await self._connection.execute(self._query, timeout=timeout)
        return []

    async def fetchrow(self, *_: Any, timeout: float | None = None) -> None:
        """Run it, and return no row."""
        await self.fetch(timeout=timeout)

    fetchval = fetchrow


class CursorFactory(cursor.CursorFactory):  # type: ignore[misc]
    """Makes the cursors of a stand-in."""

    def __aiter__(self) -> CursorIterator:
        self._check_conn_validity("__aiter__")
        prefetch = 50 if self._prefetch is None else self._prefetch
        return CursorIterator(
            self._connection,
            self._query,
            self._state,
            self._args,
            self._record_class,
            prefetch,
            self._timeout,
        )

    def __await__(self) -> Generator[Any, None, Cursor]:
        self._check_conn_validity("__await__")
        if self._prefetch is not None:
            raise exceptions.InterfaceError(
                "prefetch argument can only be specified for iterable cursor"
            )
        made = Cursor(self._connection, self._query, self._state, self._args, self._record_class)
        return made._init(self._timeout).__await__()


class _AsksSandbox:
    """Mixed into a cursor, whose portal here does not end with its transaction: it does itself."""

    _connection: Any
    _query: str
    _state: Any
    _portal_name: str | None
    _opened_in: Any = None

    async def _open(self, call: Callable[[], Any]) -> Any:
        __tracebackhide__ = True
        if not self._connection.is_in_transaction():
            raise _no_transaction()
        result = await self._connection.send(self._query, call)
        self._opened_in = self._connection.link.transaction
        return result

    async def _fetch(self, call: Callable[[], Any]) -> Any:
        __tracebackhide__ = True
        link = self._connection.link
        if self._opened_in is not None and self._opened_in != link.transaction:
            if not link.in_transaction:
                raise _no_transaction()
            raise exceptions.InvalidCursorNameError(f'portal "{self._portal_name}" does not exist')
        return await self._connection.send("FETCH", call, is_recorded=False)


class Cursor(_AsksSandbox, cursor.Cursor):  # type: ignore[misc]
    """An open cursor of a stand-in."""

    async def _init(self, timeout: float | None) -> Cursor:
        __tracebackhide__ = True
        await self._open(functools.partial(super()._init, timeout))
        return self

    async def fetch(self, n: int, *, timeout: float | None = None) -> list[Any]:
        """Return the next *n* rows."""
        __tracebackhide__ = True
        found: list[Any] = await self._fetch(functools.partial(super().fetch, n, timeout=timeout))
        return found

    async def fetchrow(self, *, timeout: float | None = None) -> Any:
        """Return the next row."""
        __tracebackhide__ = True
        return await self._fetch(functools.partial(super().fetchrow, timeout=timeout))

    async def forward(self, n: int, *, timeout: float | None = None) -> int:
        """Skip the next *n* rows."""
        skipped: int = await self._fetch(functools.partial(super().forward, n, timeout=timeout))
        return skipped


class CursorIterator(_AsksSandbox, cursor.CursorIterator):  # type: ignore[misc]
    """A cursor of a stand-in that is iterated over."""

    async def __anext__(self) -> Any:
        __tracebackhide__ = True
        if self._buffer:
            return self._buffer.popleft()
        ask = self._open if self._opened_in is None else self._fetch
        rows = await ask(self._some)
        if rows is None:
            raise StopAsyncIteration
        return rows

    async def _some(self) -> Any:
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            return None


def _no_transaction() -> exceptions.NoActiveSQLTransactionError:
    return exceptions.NoActiveSQLTransactionError(
        "cursor cannot be created outside of a transaction"
    )
