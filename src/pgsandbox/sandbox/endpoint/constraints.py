"""What the constraints of a database ask of a commit, and when each transaction checks them."""

from __future__ import annotations

from dataclasses import dataclass

from pgsandbox.sandbox.endpoint.server import ServerConnection, ServerError
from pgsandbox.sandbox.endpoint.sessions import ClientSession

_TRIED = "pgsandbox_mode"


@dataclass(frozen=True)
class Constraints:
    """What the database's constraints ask of a commit."""

    are_deferrable: bool
    """Whether any constraint is deferrable; otherwise a commit has nothing to check."""
    initially_deferred: tuple[str, ...]
    """Quoted, qualified names of those that are deferred at the start of a transaction."""
    initially_immediate: tuple[str, ...] = ()
    """The same of those that are not, but may be deferred."""

    @property
    def to_defer(self) -> str:
        """What defers those that are deferred initially, and no other; empty if there is none.

        The server looks each name up, which takes milliseconds for a thousand of them.
        """
        if not self.initially_deferred:
            return ""
        names = ", ".join(self.initially_deferred) if self.initially_immediate else "ALL"
        return f"SET CONSTRAINTS {names} DEFERRED"


def constraints_of(server: ServerConnection) -> Constraints:
    """Return what is so in the database now, as its open transaction sees it."""
    rows = server.rows(
        "SELECT condeferred, quote_ident(nspname) || '.' || quote_ident(conname) "
        "FROM pg_constraint JOIN pg_namespace n ON n.oid = connamespace WHERE condeferrable"
    )
    deferred = tuple(str(name) for is_deferred, name in rows if is_deferred == "t")
    immediate = tuple(str(name) for is_deferred, name in rows if is_deferred != "t")
    return Constraints(bool(rows), deferred, immediate)


class ConstraintModes:
    """The SET CONSTRAINTS of each client's transaction, for which the server has one at a time."""

    def __init__(self, server: ServerConnection) -> None:
        self._server = server
        self.in_force: tuple[str, ...] | None = ()
        """Those that hold on the server; None if nobody knows."""
        self._are_any = False
        """Whether anybody has set any."""

    def put_in_force(self, session: ClientSession, constraints: Constraints) -> None:
        """Let those hold that the transaction of *session* has set."""
        wanted = tuple(text for _, text in session.constraint_modes)
        if wanted == self.in_force:
            return
        self.in_force = wanted
        if constraints.to_defer:
            self._server.queue(constraints.to_defer)
        if constraints.initially_immediate:
            names = ", ".join(constraints.initially_immediate)
            self._try(f"SET CONSTRAINTS {names} IMMEDIATE")
        for text in wanted:
            self._try(text)

    def _try(self, sql: str) -> None:
        """Run *sql*, unless rows of somebody else who is not done break what it would check."""
        try:
            self._server.execute(f"SAVEPOINT {_TRIED}; {sql}; RELEASE SAVEPOINT {_TRIED}")
        except ServerError:
            self._server.queue(f"ROLLBACK TO SAVEPOINT {_TRIED}; RELEASE SAVEPOINT {_TRIED}")

    def learn(self, session: ClientSession, text: str) -> None:
        """Remember that *session* has sent *text*, which sets some."""
        self._are_any = True
        session.constraint_modes.append((session.depth(), text))
        self.in_force = (*(self.in_force or ()), text)

    def checked(self) -> None:
        """A commit has checked all, and left them as they are initially."""
        self.in_force = ()

    def undone(self) -> None:
        """The server has gone back to a savepoint, and to what held there."""
        if self._are_any:
            self.in_force = None

    def released(self, session: ClientSession) -> None:
        """*session* has released a savepoint; what it set there belongs to the one below."""
        modes = session.constraint_modes
        modes[:] = [(min(depth, session.depth()), text) for depth, text in modes]

    def rolled_back(self, session: ClientSession) -> None:
        """*session* has gone back to a savepoint of its own."""
        modes = session.constraint_modes
        modes[:] = [each for each in modes if each[0] < session.depth()]
