"""Values that a test adds to an enum, which PostgreSQL uses only after a real commit.

The server remembers the oids of the values that its transaction has added (``pg_enum.c``,
uncommitted enum values). Nothing can have been written with one of them. So when a client commits
that has added some, they get other oids, which the server takes for committed; odd ones, which it
compares by the catalog's order. Where the role in force may not write to the catalog, the server's
error stays.
"""

from __future__ import annotations

import re

from pgsandbox.sandbox.endpoint.server import ServerConnection, ServerError
from pgsandbox.sandbox.endpoint.statements import Statement

_ADDS = re.compile(r"\bALTER\s+TYPE\b.*\bADD\s+VALUE\b", re.IGNORECASE | re.DOTALL)
_LOOK = "SELECT oid FROM pg_catalog.pg_enum WHERE oid >= 16384"
_RENUMBER = """UPDATE pg_catalog.pg_enum SET oid = (SELECT number::oid FROM (
    SELECT pg_catalog.pg_nextoid(
    'pg_catalog.pg_enum', 'oid', 'pg_catalog.pg_enum_oid_index')::bigint
    AS number FROM pg_catalog.generate_series(1, 9)) numbers WHERE number % 2 = 1 LIMIT 1)
    WHERE oid = {oid}"""


class NewEnumValues:
    """The enum values that one client has added in its transaction."""

    def __init__(self) -> None:
        self._before: frozenset[str | None] | None = None
        self._added: set[str | None] = set()

    def before(self, server: ServerConnection, statement: Statement) -> None:
        """See which there are before *statement* adds one."""
        self._before = _values(server) if _ADDS.search(statement.bare) else None

    def after(self, server: ServerConnection) -> None:
        """See which ones were added."""
        if self._before is not None:
            self._added |= _values(server) - self._before
            self._before = None

    def before_commit(self, server: ServerConnection) -> None:
        """Let those that were added be usable."""
        if not self._added:
            return
        changes = [_RENUMBER.format(oid=oid) for oid in sorted(filter(None, self._added))]
        self._added.clear()
        try:
            server.execute("; ".join(["SAVEPOINT pgsandbox_enum", *changes]))
        except ServerError:
            server.queue("ROLLBACK TO SAVEPOINT pgsandbox_enum")
        server.queue("RELEASE SAVEPOINT pgsandbox_enum")

    def forget(self) -> None:
        """The client's transaction was rolled back."""
        self._added.clear()


def _values(server: ServerConnection) -> frozenset[str | None]:
    return frozenset(oid for (oid,) in server.rows(_LOOK))
