"""What the endpoint tells the server of one client, for statements that ask for their session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pgsandbox.sandbox.endpoint.own_state import named_in
from pgsandbox.sandbox.endpoint.settings import quoted
from pgsandbox.sandbox.endpoint.statements import Statement
from pgsandbox.sandbox.endpoint.transaction import TestTransaction

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

_PIDS = frozenset({"pg_backend_pid", "pg_stat_activity", "pg_locks", "pg_terminate_backend"})


class OwnState:
    """What one client's statements find where they ask for their own session."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def tell(self, transaction: TestTransaction, statement: Statement) -> None:
        """Set the parameters that *statement*, in the words that it is sent in, looks at."""
        names = named_in(statement.text)
        backend = self._backend
        values: dict[str, Any] = {}
        if names & _PIDS:
            values["pid"] = backend.client.pid
        if "pg_stat_activity" in names:
            values["clients"] = [self._described(each) for each in backend.database.backends]
        if "pg_terminate_backend" in names:
            others = (each.client.pid for each in backend.database.backends if each is not backend)
            values["others"] = [str(pid) for pid in others]
        if "pg_locks" in names:
            values["locks"] = backend.database.advisory.listed()
        if "pg_prepared_statements" in names:
            values["prepared"] = backend.prepared.ensure_all()
        if "pg_cursors" in names:
            values["cursors"] = backend.objects.cursor_names()
        if "pg_listening_channels" in names:
            values["channels"] = sorted(backend.notifications.channels)
        if values:
            calls = ", ".join(
                f"set_config('pgsandbox.{name}', {quoted(json.dumps(value))}, false)"
                for name, value in values.items()
            )
            transaction.server.queue(f"SELECT {calls}")

    def ended(self, transaction: TestTransaction) -> set[int]:
        """Return the process ids of the clients that the statement before has ended."""
        server = transaction.server
        written = server.rows("SELECT current_setting('pgsandbox.ended', true)")[0][0]
        if written:
            server.queue("SELECT set_config('pgsandbox.ended', '', false)")
        return {int(pid) for pid in (written or "").split()}

    def _described(self, other: Backend) -> dict[str, object]:
        transaction = other.database.transaction
        found = transaction.settings.of(other.session) if transaction is not None else {}
        session = other.session
        aborted = "idle in transaction (aborted)"
        state = aborted if session.has_failed else "idle in transaction"
        if other is self._backend:
            return {"pid": other.client.pid, "application_name": self._name(other, found)}
        return {
            "pid": other.client.pid,
            "application_name": self._name(other, found),
            "state": state if session.is_explicit else "idle",
            "query": "",
        }

    def _name(self, other: Backend, values: dict[str, str]) -> str:
        return values.get("application_name", other.application_name or "")
