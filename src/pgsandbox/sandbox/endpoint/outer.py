"""What encloses one test on the server, or one fixture of a wider scope."""

from __future__ import annotations

from dataclasses import dataclass

IDS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND granted "
    "AND pid = pg_backend_pid() AND mode = 'ExclusiveLock'"
)
"""How many transactions of this session, and subtransactions in it, have an id, having written.

A subtransaction that wrote holds a lock on its own id, and so do all that enclose it (PostgreSQL
manual, 74.3): the ids belong to a prefix of the savepoints.
"""


@dataclass(frozen=True)
class OuterTransaction:
    """A transaction of its own, or a savepoint above what fixtures of wider scopes have made."""

    depth: int = 0
    """How many fixtures' savepoints stand below."""

    @property
    def name(self) -> str:
        """The savepoint that only the sandbox releases."""
        return f"pgsandbox_on_{self.depth}" if self.depth else "pgsandbox"

    @property
    def begin(self) -> str:
        """What begins it."""
        return f"SAVEPOINT {self.name}" if self.depth else "BEGIN; SAVEPOINT pgsandbox"

    @property
    def end(self) -> str:
        """What undoes all of it; an error if somebody has ended it already."""
        if self.depth:
            return f"ROLLBACK TO SAVEPOINT {self.name}; RELEASE SAVEPOINT {self.name}"
        return "RELEASE SAVEPOINT pgsandbox; ROLLBACK"

    @property
    def refresh(self) -> str:
        """What lets the server count its sessions anew: a transaction sees one count throughout."""
        return "; SELECT pg_stat_clear_snapshot()" if self.depth else ""

    @property
    def places(self) -> int:
        """How many transactions and savepoints have ids before the first frame above may."""
        return self.depth + 2
