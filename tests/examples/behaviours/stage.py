"""Where a behaviour is played: it opens connections and writes down what they answer.

The transcript has no word of what differs from run to run (names of databases, process ids), so
that those of two runs can be compared line by line.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
from typing import Any

import asyncpg
import psycopg
import psycopg2
from sqlalchemy import create_engine, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from pgsandbox import errors

SYNC = ("psycopg2", "psycopg")
"""The drivers of `Stage.open`."""
ASYNC = ("psycopg", "asyncpg")
"""The drivers of `Stage.open_async`."""

_NAMED = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.PgSandboxError)
]
_VARIES = (
    (re.compile(r"0x[0-9a-f]+"), "0x"),
    (re.compile(r"\b(PID|pid) \d+"), "pid"),
    (re.compile(r"__asyncpg_stmt_[0-9a-f]+__"), "__asyncpg_stmt__"),
    (re.compile(r"connection to server .* failed: (?=FATAL|ERROR)", re.DOTALL), ""),
)
_STATUS = {0: "idle", 1: "active", 2: "in transaction", 3: "failed", 4: "unknown"}
_DIAGNOSED = ("constraint_name", "table_name", "column_name", "datatype_name")


class Stage:
    """One behaviour's connections, and the transcript."""

    def __init__(self, url: str) -> None:
        self.url: URL = make_url(url)
        """The test database's, with a driver."""
        self.lines: list[str] = []
        """What was written down."""
        self._opened: list[Any] = []
        self._names: dict[int, str] = {}
        self._notices: dict[int, list[str]] = {}

    def dsn(self) -> str:
        """The URL as libpq and asyncpg read it."""
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def play(self, body: Any, *arguments: str) -> None:
        """Run *body* to its end, and close what it left open."""
        if inspect.iscoroutinefunction(body):
            asyncio.run(self._play_async(body, *arguments))
            return
        try:
            body(self, *arguments)
        except Exception as error:  # noqa: BLE001  # it belongs into the transcript
            self.say("RAISED", self.described(error))
        finally:
            self._close()

    async def _play_async(self, body: Any, *arguments: str) -> None:
        try:
            await body(self, *arguments)
        except Exception as error:  # noqa: BLE001  # it belongs into the transcript
            self.say("RAISED", self.described(error))
        finally:
            for each in reversed(self._opened):
                with contextlib.suppress(Exception):
                    close = each.dispose() if hasattr(each, "sync_engine") else each.close()
                    if inspect.isawaitable(close):
                        await asyncio.wait_for(close, 10)

    def _close(self) -> None:
        for each in reversed(self._opened):
            with contextlib.suppress(Exception):
                (each.dispose if hasattr(each, "dispose") else each.close)()

    def open(self, driver: str = "psycopg2", *, keep: bool = True, **options: Any) -> Any:
        """Connect by the driver's own connect; without *keep* the caller has the only reference."""
        connection: Any
        if driver == "psycopg2":
            is_autocommit = options.pop("autocommit", False)
            connection = psycopg2.connect(self.dsn(), **options)
            connection.autocommit = is_autocommit
            self._names[id(connection)] = f"c{len(self._names) + 1}"
        else:
            connection = psycopg.connect(self.dsn(), **options)
            self._hear(connection, connection.add_notice_handler)
        if keep:
            self._opened.append(connection)
        return connection

    async def open_async(self, driver: str = "asyncpg", **options: Any) -> Any:
        """Connect by the driver's own connect, in the running loop."""
        connection: Any
        if driver == "asyncpg":
            connection = await asyncpg.connect(self.dsn(), **options)
            said = self._named(connection)
            connection.add_log_listener(lambda _, notice: said.append(_text_of(notice)))
        else:
            connection = await psycopg.AsyncConnection.connect(self.dsn(), **options)
            self._hear(connection, connection.add_notice_handler)
        self._opened.append(connection)
        return connection

    def engine(self, driver: str = "psycopg2", **options: Any) -> Any:
        """An engine of SQLAlchemy."""
        engine = create_engine(self.url.set(drivername=f"postgresql+{driver}"), **options)
        self._opened.append(engine)
        return engine

    def async_engine(self, driver: str = "asyncpg", **options: Any) -> Any:
        """An asynchronous engine of SQLAlchemy."""
        engine = create_async_engine(self.url.set(drivername=f"postgresql+{driver}"), **options)
        self._opened.append(engine)
        return engine

    def say(self, label: str, *values: Any) -> None:
        """Write *values* down."""
        text = self.redacted(" ".join([label, *(_plain(value) for value in values)]))
        self.lines.extend(text.splitlines() or [""])

    @contextlib.contextmanager
    def noting(self, label: str, *kinds: type[BaseException]) -> Any:
        """Write down with which error the block ends, or that it ends without."""
        try:
            yield
        except (Exception, *kinds) as error:  # noqa: BLE001  # it belongs into the transcript
            self.say(label, self.described(error))
        else:
            self.say(label, "no error")

    def run(self, connection: Any, sql: Any, parameters: Any = None, **options: Any) -> Any:
        """Execute on a cursor of its own; write down rows, tag or error, notices and status."""
        cursor = connection.cursor()
        return self.run_on(cursor, sql, parameters, **options)

    def run_on(self, cursor: Any, sql: Any, parameters: Any = None, **options: Any) -> Any:
        """Like `run`, on a cursor that is there."""
        found = None
        try:
            cursor.execute(sql, parameters, **options)
            answer, found = _answers(cursor)
        except Exception as error:  # noqa: BLE001  # the driver's, whichever it is
            answer = self.described(error)
        self._answered(cursor.connection, sql, parameters, answer)
        return found

    async def run_async(self, connection: Any, sql: Any, *parameters: Any, **options: Any) -> Any:
        """Execute; write down tag or error, notices and status, with psycopg the rows too."""
        found = None
        try:
            if isinstance(connection, asyncpg.Connection):
                answer = await connection.execute(sql, *parameters, **options)
            else:
                cursor = connection.cursor()
                await cursor.execute(sql, parameters or None, **options)
                answer, found = await _answers_async(cursor)
        except Exception as error:  # noqa: BLE001  # the driver's, whichever it is
            answer = self.described(error)
        await asyncio.sleep(0)
        self._answered(connection, sql, parameters or None, answer)
        return found

    async def fetch(self, connection: Any, sql: str, *parameters: Any, **options: Any) -> Any:
        """Like `run_async`, by the extended protocol on asyncpg, with the rows."""
        if not isinstance(connection, asyncpg.Connection):
            return await self.run_async(connection, sql, *parameters)
        rows = None
        try:
            rows = [tuple(row) for row in await connection.fetch(sql, *parameters, **options)]
            answer = _plain(rows)
        except Exception as error:  # noqa: BLE001  # the driver's
            answer = self.described(error)
        await asyncio.sleep(0)
        self._answered(connection, sql, parameters or None, answer)
        return rows

    def status(self, connection: Any) -> str:
        """The transaction's state, as far as the driver knows it."""
        if isinstance(connection, asyncpg.Connection):
            if connection.is_closed():
                return "closed"
            return "in transaction" if connection.is_in_transaction() else "idle"
        if connection.closed:
            return "closed"
        if hasattr(connection, "info") and hasattr(connection.info, "transaction_status"):
            return _STATUS[int(connection.info.transaction_status)]
        return _STATUS[connection.get_transaction_status()]

    def note(self, connection: Any, label: str = "status") -> None:
        """Write a connection's status and notices down."""
        self._answered(connection, label, None, "")

    def described(self, error: BaseException) -> str:
        """The error's class, SQLSTATE, message and diagnostics; of a refusal its class alone."""
        refusal = refusal_in(error)
        if refusal:
            return f"REFUSED {refusal}"
        if isinstance(error, DBAPIError) and error.orig is not None:
            inner = getattr(error.orig, "__cause__", None) or error.orig
            return f"{type(error).__name__}/{self.described(inner)}"
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        message = str(error).strip().partition("\n")[0]
        parts = [type(error).__name__, *([state] if state else []), message]
        diag = getattr(error, "diag", None)
        for name in _DIAGNOSED:
            value = getattr(diag, name, None) if diag else getattr(error, name, None)
            if value:
                parts.append(f"{name.removesuffix('_name')}={value}")
        place = getattr(diag, "statement_position", None) or getattr(error, "position", None)
        if place and state:
            parts.append(f"position={place}")
        return " ".join(parts)

    def redacted(self, text: str) -> str:
        """*text* without what differs from run to run."""
        text = text.replace(str(self.url.database), "<database>")
        for pattern, replacement in _VARIES:
            text = pattern.sub(replacement, text)
        return text

    def _answered(self, connection: Any, sql: Any, parameters: Any, answer: str) -> None:
        given = f" {parameters!r}" if parameters is not None else ""
        name = self._names.get(id(connection), "?")
        self.say(f"{name}: {sql}{given} -> {answer} [{self.status(connection)}]")
        for notice in self._heard(connection):
            self.say(f"{name}: notice", notice)

    def _heard(self, connection: Any) -> list[str]:
        said = self._notices.get(id(connection))
        if said is None:
            said = getattr(connection, "notices", None) or []
        heard = [" ".join(text.split()) for text in said]
        del said[:]
        return heard

    def _hear(self, connection: Any, add_handler: Any) -> None:
        said = self._named(connection)
        add_handler(lambda diag: said.append(f"{diag.severity}: {diag.message_primary}"))

    def _named(self, connection: Any) -> list[str]:
        self._names[id(connection)] = f"c{len(self._names) + 1}"
        return self._notices.setdefault(id(connection), [])


def refusal_in(error: BaseException) -> str:
    """The name of pgsandbox's error that *error* is, comes from or speaks of; empty without."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if isinstance(error, errors.PgSandboxError):
            return type(error).__name__
        diag = getattr(error, "diag", error)
        texts = [str(error), *(str(getattr(diag, name, "")) for name in _SPEAKING)]
        for kind in _NAMED:
            if any(
                re.search(rf"\b{kind.__name__}\b|reference/errors/{kind.page}\b", text)
                for text in texts
            ):
                return kind.__name__
        error = getattr(error, "orig", None) or error.__cause__  # type: ignore[assignment]
    return ""


_SPEAKING = ("message_detail", "message_hint", "detail", "hint")


def _text_of(notice: Any) -> str:
    return f"{notice.severity}: {notice.message}"


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, asyncpg.Record):
        return repr(tuple(value))
    if isinstance(value, list):
        return f"[{', '.join(_plain(each) for each in value)}]"
    return repr(value)


def _answers(cursor: Any) -> tuple[str, Any]:
    answers, found = [], None
    while True:
        if cursor.description is None:
            answers.append(str(cursor.statusmessage))
        else:
            found = cursor.fetchall()
            answers.append(f"{_plain(found)} {cursor.statusmessage}")
        if not (hasattr(cursor, "pgresult") and cursor.nextset()):
            return "; ".join(answers), found


async def _answers_async(cursor: Any) -> tuple[str, Any]:
    answers, found = [], None
    while True:
        if cursor.description is None:
            answers.append(str(cursor.statusmessage))
        else:
            found = await cursor.fetchall()
            answers.append(f"{_plain(found)} {cursor.statusmessage}")
        if not cursor.nextset():
            return "; ".join(answers), found
