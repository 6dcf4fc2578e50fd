"""What the constraints of a database ask of a commit."""

from __future__ import annotations

from dataclasses import dataclass

from pgsandbox.sandbox.endpoint.server import ServerConnection


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
