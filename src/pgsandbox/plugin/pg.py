"""The fixture ``pg``: the test database, seen from outside of the test's transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from psycopg2.errors import LockNotAvailable

from pgsandbox.plugin.counting import Counting, Queries
from pgsandbox.plugin.plans import Plan, plan_of
from pgsandbox.sandbox.endpoint.sessions import Executed
from pgsandbox.sandbox.endpoint.statements import is_transaction_control
from pgsandbox.wiring.urls import without_escapes

if TYPE_CHECKING:
    from sqlalchemy.sql import Executable

    from pgsandbox.plugin.engines import Engines
    from pgsandbox.servers import Server
    from pgsandbox.wiring import Run


class Pg:
    """The running test's database."""

    def __init__(self, run: Run, engines: Engines) -> None:
        self._run = run
        self._engines = engines
        self._observers: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """The test database's URL, by the driver that the settings name.

        Any process that connects to it joins the running test; it is a Unix socket's.
        """
        return self.url_of("default")

    @property
    def tcp_url(self) -> str:
        """The same URL for programs that know no Unix sockets: ``postgresql://``, with a password.

        It goes to the loopback address; in a test with a database of its own, to wherever the
        server is, which may be a socket.
        """
        return without_escapes(self._run.tcp_url().render_as_string(hide_password=False))

    def url_of(self, name: str) -> str:
        """Return the URL of the test database of the bind *name*."""
        return without_escapes(self._run.test_url(name).render_as_string(hide_password=False))

    @property
    def server(self) -> Server:
        """The server: ``kind``, ``version``, ``version_text``, ``reason``."""
        return self._run.find_server()

    @property
    def statements(self) -> list[str]:
        """The statements that this test's connections sent so far, oldest first."""
        return [each.text for each in self._executed()]

    def counting(
        self,
        *,
        max: int | None = None,  # noqa: A002 - the word that a test reads best
        exactly: int | None = None,
        table: str | None = None,
    ) -> AbstractContextManager[Queries]:
        """Count the statements that are sent inside of the block.

        ``len(queries)`` is their number, ``queries.statements`` their texts. Savepoints do not
        count, neither the application's own nor those that hold the test.

        With *max* or *exactly* the block fails at its end where the number is another one, and
        prints the statements; *table* counts only those that name that table.

        Raises:
            AssertionError: there were more than *max*, or not *exactly* so many.
        """
        return Counting(self._counted, max, exactly, table)

    def explain(
        self,
        statement: str | Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        rows: Mapping[str, int] | None = None,
    ) -> Plan:
        """Return the server's plan for *statement*, which is not run.

        It is text with ``:name`` for *parameters*, or anything that SQLAlchemy can execute. *rows*
        says how many rows the planner is to see in a table, instead of the few that the test has
        written; the table has to have one at least. Nothing of that is left behind.

        Raises:
            ValueError: a table of *rows* is not there, or empty.
        """
        engine = self._engines.synchronous(is_arranging=True)
        return plan_of(engine, statement, parameters, rows or {}, version=self.server.version)

    def outside(
        self, sql: str, parameters: Sequence[Any] | None = None, *, of: str = "default"
    ) -> Any:
        """Return the first value of *sql*, run on a connection outside of the test's transaction.

        It sees what was committed for real, so nothing of a sandboxed test. The connection is
        read-only. *of* names a bind's database; *parameters* are psycopg2's.

        Raises:
            psycopg2.errors.LockNotAvailable: for two seconds the test itself held a lock on what
                *sql* reads, by DDL, TRUNCATE or LOCK TABLE.
        """
        with self._observer(of).cursor() as cursor:
            try:
                cursor.execute(sql, parameters)
            except LockNotAvailable as error:
                error.add_note(_LOCKED)
                raise
            row = cursor.fetchone()
            return row[0] if row else None

    def close(self) -> None:
        """Close the connections that look from outside; the next look makes new ones."""
        for observer in self._observers.values():
            observer.close()
        self._observers.clear()

    def _observer(self, name: str) -> Any:
        if name not in self._observers:
            run_database = self._run.run_databases[name]
            if run_database.database.clone is None:
                run_database.database.expect_session()
            observer = self._run.find_server().connect(self._run.url_of(name).database)
            with observer.cursor() as cursor:
                cursor.execute(
                    "SET application_name = 'pgsandbox observer'; SET lock_timeout = '2s';"
                    " SET default_transaction_read_only = on"
                )
            observer.timeout = _LONGEST_LOOK
            self._observers[name] = observer
        return self._observers[name]

    def _counted(self) -> Callable[[], list[str]]:
        """Return what gives the statements that are sent from now on."""
        databases = self._run.run_databases
        before = {name: each.database.count_executed() for name, each in databases.items()}
        return lambda: [
            each.text
            for name, found in databases.items()
            for each in found.database.executed(before[name])
            if not is_transaction_control(each.text)
        ]

    def _executed(self) -> list[Executed]:
        return [
            each
            for run_database in self._run.run_databases.values()
            for each in run_database.database.executed()
        ]


_LONGEST_LOOK = 60.0
"""Seconds that the test's own SQL may take on the connection that looks from outside."""

_LOCKED = (
    "The test holds a lock on it in its own transaction, by DDL, TRUNCATE or LOCK TABLE, so nobody "
    "outside can read it before the test ends. Read a catalog instead, such as pg_class."
)
