"""asyncpg: the physical connection, on an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import asyncpg
from asyncpg import exceptions

from pgsandbox.sandbox.loops import OwnLoop
from pgsandbox.sandbox.physical import Status
from pgsandbox.sandbox.worker import Worker

ADAPTERS = ("prepared_statement_cache_size", "prepared_statement_name_func")
"""Arguments of SQLAlchemy's adapter, which asyncpg does not know."""


class Codec:
    """How an application wants values of one type to be converted."""

    def __init__(self, method: str, typename: str, schema: str, arguments: Mapping[str, Any]):
        self.method = method
        self.typename = typename
        self.schema = schema
        self.arguments = dict(arguments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codec) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.method, self.typename, self.schema))

    def _key(self) -> tuple[Any, ...]:
        arguments = {name: _same(value) for name, value in self.arguments.items()}
        return self.method, self.typename, self.schema, arguments


class Physical:
    """A real asyncpg connection, whose transaction only the sandbox begins and ends."""

    driver = "asyncpg"

    def __init__(self, raw: asyncpg.Connection[Any], own: OwnLoop) -> None:
        self.raw = raw
        self.own = own
        self.worker = Worker(self.cancel)
        self.codecs: dict[tuple[str, str], Codec] = {}
        """How values of each type are converted at present, as far as it was ever changed."""
        self.listener: Any = None
        """Whose statement runs, which gets the server's notices."""
        self._may_have_failed = False

    def execute(self, sql: str) -> None:
        """Run *sql* without parameters, by the simple protocol."""
        self.run(lambda: self.raw.execute(sql))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run *sql* and return the rows of its last statement, which begins with SELECT.

        asyncpg returns rows by the extended protocol only, which takes one statement; what comes
        before runs in the same transaction.
        """
        before, separator, query = sql.rpartition("; SELECT ")
        if not separator:
            return self._rows(sql)
        is_idle = self.status() is Status.IDLE
        self.execute(f"BEGIN; {before}" if is_idle else before)
        try:
            return self._rows(f"SELECT {query}")
        finally:
            if is_idle:
                self.execute("ROLLBACK")

    def fileno(self) -> int:
        """Return the descriptor of its socket."""
        transport: Any = self.raw._transport
        return int(transport.get_extra_info("socket").fileno())

    def status(self) -> Status:
        """Return where the transaction stands; after an error, which asyncpg hides, by asking."""
        if self.raw.is_closed():
            return Status.LOST
        if not self.raw.is_in_transaction():
            return Status.IDLE
        if self._may_have_failed:
            try:
                self.execute("SELECT 1")
            except exceptions.InFailedSQLTransactionError:
                return Status.IN_ERROR
            except Exception:  # noqa: BLE001  # whatever it was, the connection has to say
                return Status.LOST if self.raw.is_closed() else Status.IN_ERROR
        return Status.IN_TRANSACTION

    def cancel(self) -> None:
        """Ask the server to stop the running statement."""
        self.own.cancel()

    def close(self) -> None:
        """Close the connection and its loop."""
        with contextlib.suppress(Exception):
            self.own.run(lambda: self.raw.close(timeout=2))
        self.worker.stop()
        self.own.close()

    def run(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return what the coroutine of asyncpg returns."""
        __tracebackhide__ = True
        try:
            result = self.own.run(make)
        except asyncio.CancelledError:
            self._may_have_failed = True
            raise exceptions.QueryCanceledError("canceling statement due to user request") from None
        except BaseException:
            self._may_have_failed = True
            raise
        self._may_have_failed = False
        return result

    def use_codecs(self, codecs: dict[tuple[str, str], Codec]) -> None:
        """Convert values as *codecs* say, those of one stand-in, until it is called again."""
        for place in self.codecs.keys() - codecs.keys():
            codec = self.codecs[place]
            with contextlib.suppress(ValueError):  # the type is gone
                self.run(
                    functools.partial(
                        self.raw.reset_type_codec, codec.typename, schema=codec.schema
                    )
                )
            del self.codecs[place]
        for place, codec in codecs.items():
            if self.codecs.get(place) != codec:
                method = getattr(self.raw, codec.method)
                self.run(
                    functools.partial(
                        method, codec.typename, schema=codec.schema, **codec.arguments
                    )
                )
                self.codecs[place] = codec

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.run(lambda: self.raw.fetch(query))]


def open_physical(parameters: Mapping[str, Any]) -> Physical:
    """Connect as ``asyncpg.connect(**parameters)`` does, on a loop of its own."""
    own = OwnLoop()
    given = {name: value for name, value in parameters.items() if name not in ADAPTERS}
    settings = {"application_name": "pgsandbox", **given.pop("server_settings", {})}
    try:
        raw = own.run(
            lambda: asyncpg.connect(
                **given,
                server_settings=settings,
                statement_cache_size=0,
                connection_class=_Raw,
            )
        )
    except BaseException:
        own.close()
        raise
    made = Physical(raw, own)
    raw.physical = made
    return made


class _Raw(asyncpg.Connection):  # type: ignore[misc]
    """The physical connection, which passes notices on to the stand-in whose statement runs."""

    __slots__ = ("physical",)

    def _process_log_message(self, fields: Any, last_query: Any) -> None:
        listener = self.physical.listener if hasattr(self, "physical") else None
        if listener is not None and listener._log_listeners:
            listener._notices.append(exceptions.PostgresLogMessage.new(fields, query=last_query))


def _same(value: Any) -> Any:
    """Return what two functions have in common that do the same: SQLAlchemy makes them anew."""
    code = getattr(value, "__code__", None)
    if code is None:
        return value
    cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
    return code, value.__defaults__, cells
