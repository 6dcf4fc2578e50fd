"""Functions and triggers that notify, made to write it down while somebody listens.

A notification waits in the server's own session for a commit that never comes, where nothing can
read it. So while a client of the test listens, the routines that call pg_notify, or say NOTIFY, are
replaced by copies that also set a parameter. That happens in the savepoint of the statement that
may run them: it is undone with it, and with the test, and nobody outside ever sees it. A NOTIFY in
a text that a routine puts together (EXECUTE) stays unheard, and so does one in a body by BEGIN
ATOMIC or in another language than SQL and PL/pgSQL.
"""

from __future__ import annotations

from collections.abc import Callable

from pgsandbox.sandbox.endpoint.own_state import in_routine
from pgsandbox.sandbox.endpoint.server import ServerConnection, ServerError
from pgsandbox.sandbox.endpoint.statements import Kind, Statement
from pgsandbox.sandbox.endpoint.transaction import TestTransaction

_LOOK = """SELECT prosrc, lanname, pg_get_functiondef(p.oid) FROM pg_proc p
    JOIN pg_language l ON l.oid = prolang WHERE p.oid >= 16384 AND lanname IN ('sql', 'plpgsql')
    AND prokind IN ('f', 'p') AND prosrc ~* 'notify' AND prosrc !~ 'pgsandbox[.]notified'"""


class NotifyingRoutines:
    """The routines of one test's database that notify."""

    def __init__(self) -> None:
        self._seen: tuple[object, ...] = ()
        """When they were looked at last."""
        self._pending: list[str] = []
        """What replaces those that are not replaced yet."""
        self._are_any = False
        self.are_replaced = False
        """Whether what they notify is written down."""

    def may_run(
        self,
        transaction: TestTransaction,
        statement: Statement,
        may_call: Callable[[Statement], bool],
    ) -> bool:
        """Whether *statement* may run one; they are replaced by then, in its savepoint.

        A read may by whatever function it calls, since that may call another, or write a row whose
        trigger notifies: *may_call* says whether it calls any.
        """
        server = transaction.server
        now = (transaction, transaction.definitions, transaction.undone)
        if now != self._seen:
            self._seen = now
            self._look(server)
        if not self._are_any or (statement.kind is Kind.READ and not may_call(statement)):
            return False
        if self._pending:
            commands, self._pending = self._pending, []
            self.are_replaced = _replaced(server, commands) or self.are_replaced
        return True

    def _look(self, server: ServerConnection) -> None:
        self._pending = []
        for source, language, definition in server.rows(_LOOK):
            changed = in_routine(source or "", is_sql=language == "sql")
            if changed != source:
                self._are_any = True
                self._pending.append((definition or "").replace(source or "", changed))


def _replaced(server: ServerConnection, commands: list[str]) -> bool:
    """Replace them, if the client's role may."""
    try:
        server.execute("; ".join(["SAVEPOINT pgsandbox_routines", *commands]))
    except ServerError:
        server.queue("ROLLBACK TO SAVEPOINT pgsandbox_routines")
        return False
    finally:
        server.queue("RELEASE SAVEPOINT pgsandbox_routines")
    return True
