"""psycopg2: the physical connection, and the stand-ins that share it.

A stand-in's cursors are real psycopg2 cursors of the physical connection, so that every function of
psycopg2 that takes a cursor works on them. The connection itself is a stand-in, because a psycopg2
connection can't exist without a session of its own; the few functions of psycopg2 that insist on a
real connection object are wrapped to be given the physical one (`unwrapping`).
"""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Self

import psycopg2
from psycopg2 import extensions, extras, sql

from pgsandbox.errors import NotInSandbox
from pgsandbox.sandbox import refusals
from pgsandbox.sandbox.drivers.psycopg2_cursors import AsksSandbox, cursor_class
from pgsandbox.sandbox.link import Link
from pgsandbox.sandbox.physical import SESSION, Status
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

    def fileno(self) -> int:
        """Return the descriptor of its socket."""
        return int(self.raw.fileno())

    def cancel(self) -> None:
        """Ask the server to stop the running statement."""
        with contextlib.suppress(psycopg2.Error):
            self.raw.cancel()

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(psycopg2.Error):
            self.raw.close()


def open_physical(parameters: Mapping[str, Any]) -> Physical:
    """Connect as ``psycopg2.connect(**parameters)`` does."""
    return Physical(psycopg2.connect(**{"application_name": "pgsandbox", **parameters}))


def stand_in(link: Link, parameters: Mapping[str, Any]) -> Connection:
    """Return what ``psycopg2.connect(**parameters)`` is to return inside the sandbox.

    Raises:
        NotInSandbox: the connection is to be of a class of the application's own.
    """
    factory = parameters.get("connection_factory")
    if factory not in _CURSORS:
        raise refusals.connection_class(factory, link.sandbox.test)
    return Connection(link, parameters.get("cursor_factory") or _CURSORS[factory])


def adopt(link: Link, real: extensions.connection) -> Connection:
    """Return what is to take the place of *real*, which the application made itself."""
    if type(real) not in _CURSORS:
        raise refusals.connection_class(type(real), link.sandbox.test)
    asked: Any = real.cursor_factory  # the type stubs take it for a method
    made = Connection(link, asked or _CURSORS[type(real)])
    made.string_types.update(real.string_types)
    link.state.autocommit = real.autocommit
    return made


def session_of(real: extensions.connection) -> dict[str, str]:
    """Return the run-time parameters that *real* was given by options and SET."""
    with real.cursor(cursor_factory=extensions.cursor) as cursor:
        cursor.execute(SESSION)
        return dict(cursor.fetchall())


class Connection:
    """Stands in for a psycopg2 connection."""

    def __init__(self, link: Link, cursor_factory: type[extensions.cursor] | None) -> None:
        self.link = link
        self.cursor_factory = cursor_factory
        self.string_types: dict[int, Any] = {}
        """How values of each type are read, as far as it was registered for this connection."""
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
            name,
            cursor_factory=cursor_class(wanted, is_named=name is not None),
            scrollable=scrollable,
            withhold=withhold,
        )
        made._stand_in, made.string_types = self, self.string_types
        return made  # type: ignore[no-any-return]

    def commit(self) -> None:
        """Commit in the sandbox."""
        __tracebackhide__ = True
        self._check_open()
        self.link.commit()

    def rollback(self) -> None:
        """Roll back in the sandbox."""
        __tracebackhide__ = True
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

    def set_client_encoding(self, encoding: str) -> None:
        """Roll back, as psycopg2 does; every connection speaks UTF-8.

        Raises:
            NotInSandbox: another encoding was asked for.
        """
        self.rollback()
        if re.sub(r"\W|_", "", encoding).upper() not in ("UTF8", "UNICODE"):
            raise refusals.client_encoding(encoding, self.link.sandbox.test)

    def lobject(self, *args: Any, **kwargs: Any) -> Any:
        """Return a large object, which belongs to the transaction as it does in production."""
        self._check_open()
        open_it = functools.partial(self._raw.lobject, *args, **kwargs)
        return self.link.run("CALL lo_open()", open_it)

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
        """What was asked for; None for the server's default, which is to write."""
        return self._readonly

    @readonly.setter
    def readonly(self, value: bool | None) -> None:
        self._check_idle()
        self._readonly = value
        self.link.refresh()
        self.link.state.is_read_only = bool(value) and value != _SERVERS_DEFAULT

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

    @property
    def info(self) -> _Info:
        """The physical connection's properties, and where this one's transaction stands."""
        return _Info(self)

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


class _Info:
    """What psycopg2 tells of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection._raw.info, name)

    @property
    def transaction_status(self) -> int:
        """Where the transaction of this connection stands, not that of the test."""
        return self._connection.get_transaction_status()

    @property
    def status(self) -> int:
        """Whether a transaction of this connection is open, in psycopg2's constants."""
        return self._connection.status


_CURSORS: dict[Any, type[extensions.cursor] | None] = {
    None: None,
    extensions.connection: None,
    extras.DictConnection: extras.DictCursor,
    extras.RealDictConnection: extras.RealDictCursor,
    extras.NamedTupleConnection: extras.NamedTupleCursor,
}
"""psycopg2's own classes of connections, which differ by their cursors only."""


_SERVERS_DEFAULT: Any = "DEFAULT"
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
    wrappers: dict[str, Callable[..., Any]] = {
        "register_type": _registering(extensions.register_type),
        "quote_ident": _unwrapping(extensions.quote_ident),
        "encrypt_password": _unwrapping(extensions.encrypt_password),
    }
    for name, wrapper in wrappers.items():
        for module in [m for n, m in sys.modules.items() if n.split(".")[0] == "psycopg2"]:
            if getattr(module, name, None) is wrapper.__wrapped__:  # type: ignore[attr-defined]
                setattr(module, name, wrapper)
    if not hasattr(sql.Literal.as_string, "__wrapped__"):
        as_string = _unwrapping(sql.Literal.as_string)
        setattr(sql.Literal, "as_string", as_string)  # noqa: B010  # a type checker forbids it


def _unwrapping(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def unwrapping(*args: Any, **kwargs: Any) -> Any:
        return function(*map(_real, args), **{name: _real(value) for name, value in kwargs.items()})

    return unwrapping


def _registering(register_type: Callable[..., Any]) -> Callable[..., Any]:
    """What is registered for one connection, or one cursor, must not reach the others."""

    @functools.wraps(register_type)
    def registering(obj: Any, conn_or_curs: Any = None) -> None:
        if isinstance(conn_or_curs, AsksSandbox):
            conn_or_curs.string_types = dict(conn_or_curs.string_types)
        if type(conn_or_curs) is Connection:
            conn_or_curs.string_types.update(dict.fromkeys(obj.values, obj))
        else:
            register_type(obj, conn_or_curs)

    return registering


def _real(value: Any) -> Any:
    if isinstance(value, AsksSandbox):
        value = value._stand_in
    return value._raw if type(value) is Connection else value


_unwrap()
