"""A synchronous engine on asyncpg, for the test's own session and for factories.

asyncpg has no synchronous side, and another driver could not see what asyncpg's transaction holds.
A sandboxed asyncpg connection waits for nothing but a worker, so that one can wait for it without
an event loop: the test's own session shares the transaction of an asynchronous application. A real
connection, to a clone, gets a loop of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import greenlet_spawn

from pgsandbox.sandbox.link import Link
from pgsandbox.sandbox.loops import OwnLoop
from pgsandbox.sandbox.worker import drive

Runner = Callable[..., Any]


def blocking_engine(url: URL) -> Engine:
    """Return a synchronous Engine on *url*, whose driver is asyncpg."""
    return create_engine(url.set(drivername=f"postgresql+{_NAME}"))


class BlockingDialect(PGDialect_asyncpg):
    """SQLAlchemy's dialect of asyncpg, whose connections return when they are done."""

    is_async = False
    has_terminate = False
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the driver's module as SQLAlchemy knows it."""
        return _Module(super().import_dbapi())  # type: ignore[no-untyped-call]

    @classmethod
    def get_pool_class(cls, _: URL) -> Any:
        """Return the pool of synchronous engines."""
        return QueuePool

    def on_connect(self) -> Any:
        """Return what sets up a new connection."""
        set_up = super().on_connect()  # type: ignore[no-untyped-call]
        return lambda connection: connection.run(set_up, connection.real)

    def do_terminate(self, dbapi_connection: Any) -> None:
        """Close a connection that is of no use any more."""
        dbapi_connection.close()


class _Module:
    """SQLAlchemy's idea of the driver's module, whose connections return when they are done."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def connect(self, *args: Any, **parameters: Any) -> BlockingConnection:
        """Return a stand-in, or a real connection with a loop of its own."""
        if "async_creator_fn" in parameters:
            return BlockingConnection(_run_here(self._real.connect, *args, **parameters), _run_here)
        own = OwnLoop()
        run = functools.partial(_run_in, own)
        try:
            return BlockingConnection(run(self._real.connect, *args, **parameters), run, own)
        except BaseException:
            own.close()
            raise


class _Blocking:
    """What SQLAlchemy wraps around an asynchronous connection or cursor, run to the end."""

    real: Any
    run: Runner
    own: OwnLoop | None

    def __init__(self, real: Any, run: Runner) -> None:
        vars(self).update(real=real, run=run)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.real, name)
        return functools.partial(self.run, value) if callable(value) else value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.real, name, value)


class BlockingConnection(_Blocking):
    """A connection."""

    def __init__(self, real: Any, run: Runner, own: OwnLoop | None = None) -> None:
        super().__init__(real, run)
        vars(self).update(own=own, driver_connection=self)

    def close(self) -> None:
        """Close it, and its loop if it has one."""
        if self.own is None:
            self.run(self.real.close)
        elif not self.own.loop.is_closed():
            try:
                self.run(self.real.close)
            finally:
                self.own.close()

    @property
    def link(self) -> Link | None:
        """What ties it to the sandbox, if it is a stand-in."""
        return getattr(self.real._connection, "link", None)

    @property
    def _connection(self) -> Any:
        return self.real._connection

    def cursor(self, *args: Any, **kwargs: Any) -> _BlockingCursor:
        """Return a cursor."""
        return _BlockingCursor(self.run(self.real.cursor, *args, **kwargs), self.run)


class _BlockingCursor(_Blocking):
    """A cursor."""

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row


def _run_here(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    __tracebackhide__ = True
    return drive(greenlet_spawn(function, *args, **kwargs))


def _run_in(own: OwnLoop, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    __tracebackhide__ = True
    return own.run(lambda: greenlet_spawn(function, *args, **kwargs))


_NAME = "pgsandbox_asyncpg"
registry.register(f"postgresql.{_NAME}", __name__, BlockingDialect.__name__)
