"""Cursors of psycopg2 whose statements pass through the sandbox."""

# ruff: noqa: D102  # the methods are psycopg2's own, described there

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import extensions, sql

if TYPE_CHECKING:
    from pgsandbox.sandbox.drivers.psycopg2 import Connection


@functools.cache
def cursor_class(base: type[extensions.cursor], *, is_named: bool) -> type[extensions.cursor]:
    """Return *base* with every statement passing through its connection's sandbox."""
    mixin = _AsksToFetch if is_named else AsksSandbox
    return type(base.__name__, (mixin, base), {"__module__": base.__module__})


class AsksSandbox:
    """Mixed into a cursor class: each statement passes through the stand-in's sandbox."""

    _stand_in: Connection
    string_types: dict[int, Any]

    @property
    def connection(self) -> Connection:
        return self._stand_in

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002  # psycopg2's name
        __tracebackhide__ = True
        send = functools.partial(super().execute, query, vars)  # type: ignore[misc]
        if vars is not None and "set_config" in str(query):
            query = self.mogrify(query, vars)  # type: ignore[attr-defined]
        self._send(query, send)

    def executemany(self, query: Any, vars_list: Iterable[Any]) -> None:
        __tracebackhide__ = True
        send = functools.partial(super().executemany, query, vars_list)  # type: ignore[misc]
        self._send(query, send)

    def callproc(self, procname: str, parameters: Any = None) -> Any:
        send = functools.partial(super().callproc, procname, parameters)  # type: ignore[misc]
        self._send(f"CALL {procname}", send)
        return parameters

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        send = functools.partial(super().copy_expert, sql, file, size)  # type: ignore[misc]
        self._send(sql, send)

    def copy_from(self, file: Any, table: str, *args: Any, **kwargs: Any) -> None:
        copy_from = super().copy_from  # type: ignore[misc]
        send = functools.partial(copy_from, file, table, *args, **kwargs)
        self._send(f"COPY {table} FROM STDIN", send)

    def copy_to(self, file: Any, table: str, *args: Any, **kwargs: Any) -> None:
        copy_to = super().copy_to  # type: ignore[misc]
        send = functools.partial(copy_to, file, table, *args, **kwargs)
        self._send(f"COPY {table} TO STDOUT", send)

    def _send(self, query: Any, send: Callable[[], Any]) -> None:
        __tracebackhide__ = True
        self._stand_in._check_open()
        self._stand_in.link.run(_text(query, self), send)


class _AsksToFetch(AsksSandbox):
    """Mixed into the class of a server-side cursor, which sends a statement to fetch, too.

    It ends with its transaction, which here is not the physical connection's.
    """

    _opened_in: tuple[Any, int] | None = None
    _is_open = False

    def fetchone(self) -> Any:
        return self._fetch(super().fetchone)  # type: ignore[misc]

    def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
        return self._fetch(functools.partial(super().fetchmany, *args, **kwargs))  # type: ignore[misc]

    def fetchall(self) -> Any:
        return self._fetch(super().fetchall)  # type: ignore[misc]

    def scroll(self, *args: Any, **kwargs: Any) -> Any:
        return self._fetch(functools.partial(super().scroll, *args, **kwargs))  # type: ignore[misc]

    def __next__(self) -> Any:
        return self._fetch(super().__next__)  # type: ignore[misc]

    def close(self) -> None:
        is_gone = self.closed or self._stand_in.closed or self._stand_in.link.has_failed  # type: ignore[attr-defined]
        if is_gone or not self._is_open:
            # The driver would send CLOSE, since the physical connection's transaction is open.
            return
        self._fetch(super().close)  # type: ignore[misc]

    def _send(self, query: Any, send: Callable[[], Any]) -> None:
        super()._send(query, send)
        self._opened_in, self._is_open = self._stand_in.link.transaction, True

    def _fetch(self, fetch: Callable[[], Any]) -> Any:
        link = self._stand_in.link
        if self._is_open and not self.withhold and self._opened_in != link.transaction:  # type: ignore[attr-defined]
            raise psycopg2.ProgrammingError("named cursor isn't valid anymore")
        return link.run("FETCH", fetch, is_recorded=False)


def _text(query: Any, cursor: Any) -> str:
    if isinstance(query, sql.Composable):
        return str(query.as_string(cursor))
    return query.decode() if isinstance(query, bytes) else str(query)
