"""psycopg2: the physical connection, and the stand-ins that share it.

A stand-in's cursors are real psycopg2 cursors of the physical connection, so that every function of
psycopg2 that takes a cursor works on them. The connection itself is a stand-in, because a psycopg2
connection can't exist without a session of its own; the few functions of psycopg2 that insist on a
real connection object are wrapped to be given the physical one (`unwrapping`).
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import psycopg2
from psycopg2 import extensions, sql

from pgsandbox.errors import NotInSandbox
from pgsandbox.sandbox.link import Link
from pgsandbox.sandbox.physical import Status
from pgsandbox.sandbox.refusals import CLONE

_STATUS = {
    extensions.TRANSACTION_STATUS_IDLE: Status.IDLE,
    extensions.TRANSACTION_STATUS_ACTIVE: Status.ACTIVE,
    extensions.TRANSACTION_STATUS_INTRANS: Status.IN_TRANSACTION,
    extensions.TRANSACTION_STATUS_INERROR: Status.IN_ERROR,
    extensions.TRANSACTION_STATUS_UNKNOWN: Status.LOST,
}


class Physical:
    """A real psycopg2 connection, whose transaction only the sandbox begins and ends.

    psycopg2 must believe that a transaction is open, or it refuses named cursors; so the connection
    is not in autocommit mode, psycopg2's own first BEGIN is sent and rolled back here, and the
    driver's commit and rollback are never called again.
    """

    driver = "psycopg2"

    def __init__(self, raw: extensions.connection) -> None:
        self.raw = raw
        self._cursor = raw.cursor(cursor_factory=extensions.cursor)
        self._cursor.execute("SELECT 1; ROLLBACK")
        _unwrap()

    def execute(self, sql: str) -> None:
        """Run *sql* without parameters."""
        self._cursor.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run *sql* and return the rows of its last statement."""
        self._cursor.execute(sql)
        return self._cursor.fetchall()

    def status(self) -> Status:
        """Return what libpq knows of the transaction."""
        if self.raw.closed:
            return Status.LOST
        return _STATUS[self.raw.get_transaction_status()]

    def cancel(self) -> None:
        """Ask the server to stop the running statement."""
        with contextlib.suppress(psycopg2.Error):
            self.raw.cancel()

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(psycopg2.Error):
            self.raw.close()


def stand_in(link: Link, parameters: Mapping[str, Any]) -> Connection:
    """Return what ``psycopg2.connect(**parameters)`` is to return inside the sandbox."""
    return Connection(link, parameters.get("cursor_factory"))


class Connection:
    """Stands in for a psycopg2 connection."""

    def __init__(self, link: Link, cursor_factory: type[extensions.cursor] | None) -> None:
        self.link = link
        self.cursor_factory = cursor_factory
        self._isolation_level: int | None = None
        self._readonly: bool | None = None
        self._deferrable: bool | None = None

    __class__ = property(lambda _: extensions.connection)
    """isinstance(stand_in, psycopg2.extensions.connection) must say yes."""

    @property
    def _raw(self) -> Any:
        return self.link.sandbox.physical.raw  # type: ignore[attr-defined]  # ours is psycopg2's

    def __getattr__(self, name: str) -> Any:
        """Whatever does not concern transactions is the physical connection's."""
        if name == "link":  # __init__ did not finish
            raise AttributeError(name)
        return getattr(self._raw, name)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self.link.abandon()

    def cursor(
        self,
        name: str | None = None,
        cursor_factory: Any = None,
        scrollable: bool | None = None,
        withhold: bool = False,
    ) -> extensions.cursor:
        """Return a cursor of the physical connection that asks the sandbox first."""
        self._check_open()
        self.link.refresh()
        if name is not None and self.autocommit and not withhold:
            raise psycopg2.ProgrammingError("can't use a named cursor outside of transactions")
        wanted: Any = cursor_factory or self.cursor_factory or extensions.cursor
        made = self._raw.cursor(
            name, cursor_factory=_cursor_class(wanted), scrollable=scrollable, withhold=withhold
        )
        made._stand_in = self
        return made  # type: ignore[no-any-return]

    def commit(self) -> None:
        """Commit in the sandbox."""
        self._check_open()
        self.link.commit()

    def rollback(self) -> None:
        """Roll back in the sandbox."""
        self._check_open()
        self.link.rollback()

    def close(self) -> None:
        """Undo what was not committed; the physical connection stays open."""
        self.link.close()

    def reset(self) -> None:
        """Roll back and return to the defaults, as psycopg2 does."""
        self.rollback()
        self.link.state.autocommit = False

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, exc_type: object, *_: object) -> None:
        if exc_type is None:
            self.commit()
        else:
            self.rollback()

    @property
    def closed(self) -> int:
        """0 while open, 1 once closed, as psycopg2 counts."""
        return 1 if self.link.is_closed else int(self._raw.closed)

    @property
    def autocommit(self) -> bool:
        """Whether each statement stands by itself."""
        return self.link.state.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._set(autocommit=bool(value))

    @property
    def isolation_level(self) -> int | None:
        """The level that was asked for; None for the server's default."""
        return extensions.ISOLATION_LEVEL_AUTOCOMMIT if self.autocommit else self._isolation_level

    @isolation_level.setter
    def isolation_level(self, value: int | str | None) -> None:
        self._set(isolation_level=value)

    def set_isolation_level(self, level: int | None) -> None:
        """Set the level, rolling back first, as psycopg2 does."""
        self.rollback()
        if level == extensions.ISOLATION_LEVEL_AUTOCOMMIT:
            self._set(autocommit=True)
        else:
            self._set(autocommit=False, isolation_level=level)

    def set_session(
        self,
        isolation_level: int | str | None = None,
        readonly: bool | None = None,
        deferrable: bool | None = None,
        autocommit: bool | None = None,
    ) -> None:
        """Set several properties at once, outside of a transaction."""
        if readonly is not None:
            self.readonly = readonly
        if deferrable is not None:
            self.deferrable = deferrable
        self._set(autocommit=autocommit, isolation_level=isolation_level)

    @property
    def readonly(self) -> bool | None:
        """What was asked for; a sandboxed transaction is always read-write."""
        return self._readonly

    @readonly.setter
    def readonly(self, value: bool | None) -> None:
        self._check_idle()
        self._readonly = value

    @property
    def deferrable(self) -> bool | None:
        """What was asked for; it means something on a serializable transaction only."""
        return self._deferrable

    @deferrable.setter
    def deferrable(self, value: bool | None) -> None:
        self._check_idle()
        self._deferrable = value

    @property
    def status(self) -> int:
        """Whether a transaction of this connection is open, in psycopg2's constants."""
        in_transaction = self.link.in_transaction
        return extensions.STATUS_IN_TRANSACTION if in_transaction else extensions.STATUS_READY

    def get_transaction_status(self) -> int:
        """Where this connection's own transaction stands, in libpq's constants."""
        if self.link.has_failed:
            return extensions.TRANSACTION_STATUS_INERROR
        if self.link.in_transaction:
            return extensions.TRANSACTION_STATUS_INTRANS
        return extensions.TRANSACTION_STATUS_IDLE

    def tpc_begin(self, xid: object) -> None:
        """Two-phase commit outlives a connection, so a sandbox can't hold it.

        Raises:
            NotInSandbox: always.
        """
        raise NotInSandbox("A sandboxed test can't hold a two-phase transaction.", remedy=CLONE)

    def _set(
        self, autocommit: bool | None = None, isolation_level: int | str | None = None
    ) -> None:
        self._check_open()
        self._check_idle()
        if isolation_level is not None:
            level = _LEVELS.get(str(isolation_level).upper(), isolation_level)
            if level in (
                extensions.ISOLATION_LEVEL_SERIALIZABLE,
                extensions.ISOLATION_LEVEL_REPEATABLE_READ,
            ):
                self.link.refuse_isolation_level(_NAMES[int(level)])
            self._isolation_level = int(level)
        if autocommit is not None:
            self.link.refresh()
            self.link.state.autocommit = autocommit

    def _check_idle(self) -> None:
        if self.link.in_transaction:
            raise psycopg2.ProgrammingError("set_session cannot be used inside a transaction")

    def _check_open(self) -> None:
        if self.link.is_closed:
            raise psycopg2.InterfaceError("connection already closed")


class _AsksSandbox:
    """Mixed into a cursor class: each statement passes through the stand-in's sandbox."""

    _stand_in: Connection

    @property
    def connection(self) -> Connection:
        return self._stand_in

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002  # psycopg2's name
        __tracebackhide__ = True
        send = functools.partial(super().execute, query, vars)  # type: ignore[misc]
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


@functools.cache
def _cursor_class(base: type[extensions.cursor]) -> type[extensions.cursor]:
    return type(base.__name__, (_AsksSandbox, base), {"__module__": base.__module__})


def _text(query: Any, cursor: Any) -> str:
    if isinstance(query, sql.Composable):
        return str(query.as_string(cursor))
    return query.decode() if isinstance(query, bytes) else str(query)


_NAMES = {
    extensions.ISOLATION_LEVEL_READ_UNCOMMITTED: "READ UNCOMMITTED",
    extensions.ISOLATION_LEVEL_READ_COMMITTED: "READ COMMITTED",
    extensions.ISOLATION_LEVEL_REPEATABLE_READ: "REPEATABLE READ",
    extensions.ISOLATION_LEVEL_SERIALIZABLE: "SERIALIZABLE",
}
_LEVELS: dict[str, int] = {name: level for level, name in _NAMES.items()}


# -- functions of psycopg2 that insist on a real connection ----------------------------------------


def _unwrap() -> None:
    """Let psycopg2's own functions that check for a real connection see through a stand-in.

    The pattern is known from tracing libraries, which stand in for connections too. Every module of
    psycopg2 that holds such a function is given the wrapped one; without a stand-in it does the
    same as before.
    """
    for name in ("register_type", "quote_ident", "encrypt_password"):
        original = getattr(extensions, name)
        if hasattr(original, "__wrapped__"):
            continue
        wrapped = _unwrapping(original)
        for module in [m for n, m in sys.modules.items() if n.split(".")[0] == "psycopg2"]:
            if getattr(module, name, None) is original:
                setattr(module, name, wrapped)


def _unwrapping(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def unwrapping(*args: Any, **kwargs: Any) -> Any:
        return function(*map(_real, args), **{name: _real(value) for name, value in kwargs.items()})

    return unwrapping


def _real(value: Any) -> Any:
    return value._raw if type(value) is Connection else value
