"""asyncpg: the physical connection, and the stand-ins that share it.

A stand-in is a real ``asyncpg.Connection`` on the physical connection's own protocol, so that
codecs, ``$1`` parameters, records, errors and COPY are asyncpg's own. It lies below SQLAlchemy's
adapter, which therefore is the real one, too; and whoever takes the driver's connection out of an
AsyncConnection gets the stand-in.

asyncpg never begins a transaction by itself: each statement stands, unless BEGIN was sent. So a
stand-in is a connection in autocommit mode that sends its BEGIN and COMMIT as statements.

An asyncpg connection belongs to one event loop, and a test may have several. The physical one lives
on a loop of its own, which runs in whichever thread needs it (`loops.OwnLoop`); its statements are
sent by a worker thread, never by a loop of the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import asyncpg
from asyncpg import connection as base
from asyncpg import transaction
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection

from pgsandbox.sandbox.drivers.asyncpg_copying import copying_method
from pgsandbox.sandbox.drivers.asyncpg_physical import ADAPTERS, Codec, Physical, open_physical
from pgsandbox.sandbox.drivers.asyncpg_statements import (
    Control,
    CursorFactory,
    PreparedStatement,
)
from pgsandbox.sandbox.link import Link
from pgsandbox.sandbox.physical import SESSION
from pgsandbox.sandbox.statements import CONTROL, Kind, classify

__all__ = ["Connection", "Physical", "adapted", "adopt", "open_physical", "session_of", "stand_in"]


def stand_in(link: Link, parameters: Mapping[str, Any]) -> Connection:
    """Return what ``asyncpg.connect(**parameters)`` is to return inside the sandbox."""
    made = Connection(link)
    if parameters.get("record_class"):
        made._record_class = parameters["record_class"]
    if parameters.get("command_timeout"):
        made._timeout = float(parameters["command_timeout"])
    return made


def adapted(dialect: Any, made: Connection, parameters: Mapping[str, Any]) -> Any:
    """Return *made* as SQLAlchemy's *dialect* wraps its connections; inside of a greenlet."""

    async def creator(*_: Any, **__: Any) -> Connection:
        return made

    given = {name: parameters[name] for name in ADAPTERS if name in parameters}
    made._engines_level = getattr(dialect, "_on_connect_isolation_level", None)
    wrapped = dialect.dbapi.connect(async_creator_fn=creator, **given)
    getattr(wrapped, "real", wrapped).__class__ = _Adapter
    return wrapped


def adopt(link: Link, _: asyncpg.Connection[Any]) -> Connection:
    """Return what is to take the place of a connection that the application made itself."""
    return Connection(link)


async def session_of(real: asyncpg.Connection[Any]) -> dict[str, str]:
    """Return the run-time parameters that *real* was given by options and SET."""
    return dict(await real.fetch(SESSION))


class _Adapter(AsyncAdapt_asyncpg_connection):
    """SQLAlchemy's wrapping; to give up a stand-in takes no time, hence no task to wait for."""

    __slots__ = ()

    def terminate(self) -> None:
        self._connection.terminate()
        self._transaction = None


class _Protocol:
    """The physical connection's protocol, with the transaction of one stand-in."""

    def __init__(self, link: Link, record_class: Any, timeout: float | None) -> None:
        self._link = link
        self._record_class = record_class
        self._timeout = timeout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link.sandbox.physical.raw._protocol, name)  # type: ignore[attr-defined]

    def is_in_transaction(self) -> bool:
        """Whether a transaction of this stand-in is open."""
        return self._link.in_transaction

    def get_record_class(self) -> Any:
        """The class of its records."""
        return self._record_class or asyncpg.Record

    def _get_timeout(self, timeout: float | None) -> float | None:
        real = self._link.sandbox.physical.raw._protocol  # type: ignore[attr-defined]
        found = real._get_timeout(self._timeout if timeout is None else timeout)
        return None if found is None else float(found)


class Transaction(transaction.Transaction):  # type: ignore[misc]
    """A transaction of a stand-in, whose BEGIN and COMMIT the driver sends."""

    __slots__ = ()

    async def start(self) -> None:
        """Begin it."""
        with self._connection._by_driver():
            await super().start()

    async def commit(self) -> None:
        """Commit it."""
        with self._connection._by_driver():
            await super().commit()

    async def rollback(self) -> None:
        """Roll it back."""
        with self._connection._by_driver():
            await super().rollback()

    async def __aexit__(self, *error: object) -> None:
        with self._connection._by_driver():
            await super().__aexit__(*error)


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """Stands in for an asyncpg connection."""

    _top_xact: Any
    """The driver's open transaction, in asyncpg's own attribute."""

    def __init__(self, link: Link) -> None:
        self.link = link
        link.state.autocommit = True
        self._record_class: Any = None
        self._timeout: float | None = None
        self._engines_level: str | None = None
        self._notices: list[Any] = []
        self._codecs: dict[tuple[str, str], Codec] = {}
        self._is_by_driver = False
        raw = link.sandbox.physical.raw  # type: ignore[attr-defined]  # ours is asyncpg's
        super().__init__(raw._protocol, None, raw._loop, raw._addr, raw._config, raw._params)

    def __del__(self) -> None:
        link = self.__dict__.get("link")
        if link is not None:
            link.abandon()

    @property
    def _protocol(self) -> Any:
        return _Protocol(self.link, self._record_class, self._timeout)

    @_protocol.setter
    def _protocol(self, value: Any) -> None:
        pass

    @property
    def _physical(self) -> Physical:
        return self.link.sandbox.physical  # type: ignore[return-value]

    # -- statements ---------------------------------------------------------------------------

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """Run *query* through the sandbox; the driver's own COMMIT ends the sandboxed one."""
        __tracebackhide__ = True
        self._check_open()
        kind = classify(query).kind
        if self._is_by_driver and kind in (Kind.COMMIT, Kind.ROLLBACK):
            end = self.link.commit if kind is Kind.COMMIT else self.link.rollback
            await self._physical.worker.run(end)
            return kind.name
        call = functools.partial(super().execute, query, *args, timeout=timeout)
        status = await self.send(query, call)
        return str(status) if status is not None else query.strip().rstrip(";").upper()

    async def prepare(
        self,
        query: str,
        *,
        name: str | None = None,
        timeout: float | None = None,
        record_class: Any = None,
    ) -> Any:
        """Return *query* prepared; on the server it is parsed anew each time it is run."""
        __tracebackhide__ = True
        self._check_open()
        if classify(query).kind in (*CONTROL, Kind.MODE):
            return Control(self, query)

        async def prepared() -> PreparedStatement:
            state = await self._get_statement(
                query, timeout, named=False, use_cache=False, record_class=record_class
            )
            return PreparedStatement(self, query, state, name)

        return await self.send(query, prepared, is_recorded=False)

    async def send(
        self, query: str, call: Callable[[], Coroutine[Any, Any, Any]], *, is_recorded: bool = True
    ) -> Any:
        """Let the sandbox send *query* by awaiting what *call* returns, on the physical's loop."""
        __tracebackhide__ = True
        if self._physical.own.is_inside():
            return await call()
        try:
            return await self._physical.worker.run(
                functools.partial(self._send, query, call, is_recorded=is_recorded)
            )
        finally:
            self._tell_listeners()

    def _send(
        self, query: str, call: Callable[[], Coroutine[Any, Any, Any]], *, is_recorded: bool
    ) -> Any:
        __tracebackhide__ = True
        self.link.refresh()
        state = self.link.state
        state.autocommit = True
        is_open = self._top_xact is not None and classify(query).kind in _ENDS
        if is_open and not self._is_by_driver:
            state.is_explicit = False  # raw SQL ends what the driver began
        try:
            return self.link.run(
                query,
                functools.partial(self._send_now, call),
                is_recorded=is_recorded and not self._is_by_driver,
            )
        finally:
            if is_open and state.in_transaction:
                state.is_explicit = True

    def _send_now(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        __tracebackhide__ = True
        physical = self._physical
        physical.use_codecs(self._codecs)
        physical.listener = self
        with physical.worker.sending():
            return physical.run(call)

    @contextlib.contextmanager
    def _by_driver(self) -> Iterator[None]:
        before, self._is_by_driver = self._is_by_driver, True
        try:
            yield
        finally:
            self._is_by_driver = before

    def cursor(
        self,
        query: str,
        *args: Any,
        prefetch: int | None = None,
        timeout: float | None = None,
        record_class: Any = None,
    ) -> Any:
        """Return what makes a cursor of *query*, which ends with its transaction."""
        self._check_open()
        return CursorFactory(self, query, None, args, prefetch, timeout, record_class)

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False, deferrable: bool = False
    ) -> Transaction:
        """Return a transaction; a level that all connections of its engine ask for is let through.

        The engine's owner can't do anything about it test by test; the limit is documented.
        """
        self._check_open()
        level = str(isolation or "").replace("_", " ").upper()
        if level and level == self._engines_level:
            isolation = None
        return Transaction(self, isolation, readonly, deferrable)

    # -- what is set for one connection -------------------------------------------------------

    async def set_type_codec(self, typename: str, *, schema: str = "public", **given: Any) -> None:
        """Convert values of a type as asked, on this connection and no other."""
        await self._set_codec(Codec("set_type_codec", typename, schema, given))

    async def set_builtin_type_codec(
        self, typename: str, *, schema: str = "public", **given: Any
    ) -> None:
        """Convert values of a type as those of another one, on this connection and no other."""
        await self._set_codec(Codec("set_builtin_type_codec", typename, schema, given))

    async def reset_type_codec(self, typename: str, *, schema: str = "public") -> None:
        """Convert values of a type as asyncpg does."""
        self._codecs.pop((schema, typename), None)

    async def _set_codec(self, codec: Codec) -> None:
        self._check_open()
        place = codec.schema, codec.typename
        before = self._codecs.get(place)
        self._codecs[place] = codec
        if self._physical.codecs.get(place) == codec:
            return
        try:  # by a statement, since a type that does not exist is an error
            await self.send("FETCH", _nothing, is_recorded=False)
        except BaseException:
            self._codecs.pop(place)
            if before is not None:
                self._codecs[place] = before
            raise

    async def reload_schema_state(self) -> None:
        """Forget what is known of the types of the database."""
        if self._physical.own.is_inside():
            await super().reload_schema_state()
        else:
            call = functools.partial(super().reload_schema_state)
            await self.send("FETCH", call, is_recorded=False)

    def _tell_listeners(self) -> None:
        notices, self._notices = self._notices, []
        for notice in notices:
            for each in list(self._log_listeners):
                outcome = each.cb(self, notice)
                if each.is_async:
                    asyncio.ensure_future(outcome)  # noqa: RUF006  # as asyncpg does

    # -- the end ------------------------------------------------------------------------------

    def is_closed(self) -> bool:
        """Whether it was closed, or the physical connection is gone."""
        return self.link.is_closed or self._physical.raw.is_closed()

    async def close(self, *, timeout: float | None = None) -> None:
        """Undo what was not committed; the physical connection stays open."""
        if self.link.in_transaction:
            await self._physical.worker.run(self.link.close)
        else:
            self.link.close()
        self._cleanup()

    def terminate(self) -> None:
        """Undo what was not committed, before the next statement of anybody."""
        self.link.abandon()
        self._cleanup()

    async def reset(self, *, timeout: float | None = None) -> None:
        """Roll back and forget the listeners, as asyncpg's pool does on release."""
        self._check_open()
        self._listeners.clear()
        self._log_listeners.clear()
        self._top_xact = None
        await self._physical.worker.run(self.link.rollback)


def _asking(name: str) -> Callable[..., Any]:
    """Return asyncpg's method *name*, whose first argument is the query, through the sandbox."""
    method = getattr(base.Connection, name)

    @functools.wraps(method)
    async def asking(self: Connection, query: str, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        self._check_open()
        return await self.send(query, functools.partial(method, self, query, *args, **kwargs))

    return asking


for _name in ("executemany", "fetch", "fetchval", "fetchrow", "fetchmany"):
    setattr(Connection, _name, _asking(_name))


for _name in ("copy_from_table", "copy_from_query", "copy_to_table", "copy_records_to_table"):
    setattr(Connection, _name, copying_method(_name))


async def _nothing() -> None:
    pass


_ENDS = (Kind.COMMIT, Kind.ROLLBACK)
