"""Sequences that begin anew in each test, for suites whose assertions name ids.

PostgreSQL takes no number back: a rollback leaves a sequence where it is (manual, 9.17). So where a
project asks for it, each test begins by setting every sequence to where it stood before the first.
"""

from __future__ import annotations

from pgsandbox.sandbox.endpoint.server import ServerConnection

_LOOK = """SELECT quote_literal(format('%I.%I', schemaname, sequencename)),
    coalesce(last_value, start_value), last_value IS NOT NULL FROM pg_sequences ORDER BY 1"""


class Sequences:
    """Remembers where the sequences of one database stood."""

    def __init__(self, server: ServerConnection) -> None:
        rows = server.rows(_LOOK)
        values = ", ".join(f"({name}, {value}, '{called}'::bool)" for name, value, called in rows)
        self._statement = (
            "SELECT count(setval(name::regclass, value, is_called)) "  # noqa: S608 - the server's
            f"FROM (VALUES {values}) v (name, value, is_called)"
            if rows
            else None
        )

    def restart(self, server: ServerConnection) -> None:
        """Set all of them back; *server* is in no transaction."""
        if self._statement is not None:
            server.rows(self._statement)
