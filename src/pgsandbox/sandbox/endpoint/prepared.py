"""The prepared statements of one client, which shares the server's session with all the others.

A name is sent on as it is; where the server holds another client's statement under it, that one is
closed there, and parsed again when its client needs it. So a prepared statement outlives the test
that made it, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.failures import StatementFailed, failure
from pgsandbox.sandbox.endpoint.statements import Kind, Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend


@dataclass(eq=False)
class Prepared:
    """A statement that a client has prepared."""

    name: bytes
    statement: Statement
    request: bytes
    """What prepares it: a Parse message, or the text of a PREPARE."""
    types: bytes = b"\0\0"
    """The parameters' types, as the Parse message has them."""
    is_local: bool = False
    """Whether it is answered here, so that the server has never heard of it."""
    is_sql: bool = False
    """Whether it was prepared by PREPARE."""
    body: bytes = b""
    """Of its Parse message, as the client sent it, if it reads custom parameters."""


class PreparedStatements:
    """What one client has prepared, by either protocol or by SQL, and what the server has of it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._held = backend.database.held
        self._statements: dict[bytes, Prepared] = {}

    def find(self, name: bytes) -> Prepared | None:
        """Return what the client has prepared under *name*."""
        return self._statements.get(name)

    def is_on_server(self, prepared: Prepared) -> bool:
        """Whether the server has *prepared* under its name."""
        return self._held.get(prepared.name) is prepared

    # -- by the protocol ----------------------------------------------------------------------

    def add(self, prepared: Prepared) -> None:
        """Remember *prepared*, whose request is to be sent next, unless it is local."""
        self._statements[prepared.name] = prepared
        if prepared.is_local:
            return
        self.map(prepared)
        if prepared.body:
            prepared.request = self.masked(prepared.body)
        self.make_room(prepared)

    def map(self, prepared: Prepared) -> bool:
        """Let *prepared* name what the server has; return whether that has changed."""
        mapped = self._backend.objects.prepared(prepared.statement)
        sql = mapped.text.encode("utf-8", "surrogateescape")
        parts = (prepared.name, b"\0", sql, b"\0", prepared.types)
        before, prepared.request = prepared.request, messages.message(b"P", b"".join(parts))
        return prepared.request != before

    def masked(self, body: bytes) -> bytes:
        """Return the Parse message of *body* as the server gets it."""
        name, position = messages.string(body)
        sql, end = messages.string(body, position)
        text = self._backend.execution.masked(sql.decode("utf-8", "surrogateescape"))
        new_sql = text.encode("utf-8", "surrogateescape") + b"\0"
        return messages.message(b"P", name + b"\0" + new_sql + body[end:])

    def make_room(self, prepared: Prepared) -> None:
        """Let the server forget what another client has prepared under the same name."""
        if prepared.name and prepared.name in self._held:
            self.close(prepared.name)
        self._held[prepared.name] = prepared

    def close(self, name: bytes) -> None:
        """Let the server forget what it has under *name*; whoever has prepared that does not."""
        if name in self._held:
            self._backend.current().server.queue_messages(messages.close(b"S", name))
            self._held.pop(name, None)

    def parse_again(self, prepared: Prepared) -> None:
        """Let the server have *prepared*, which has a name, right before what is sent next."""
        self.make_room(prepared)
        self._backend.current().server.queue_messages(prepared.request)

    def remove(self, name: bytes) -> bool:
        """Forget what the client calls *name*; return whether the server has it and is to close it.

        That is sent with what else the client asks for.
        """
        prepared = self._statements.pop(name, None)
        if prepared is None or not self.is_on_server(prepared):
            return False
        del self._held[name]
        return True

    def take_back(self, refused: Iterable[Prepared], *, again: Iterable[bytes]) -> None:
        """Forget what the server has *refused*, and let it close the names it parsed *again*."""
        for prepared in refused:
            self._statements.pop(prepared.name, None)
            self._held.pop(prepared.name, None)
        for name in again:
            self._forget_on_server(name)

    def forget_unnamed(self) -> None:
        """Forget the unnamed one, which ends with the next simple query (manual, 53.2.3)."""
        self._statements.pop(b"", None)

    # -- by SQL -------------------------------------------------------------------------------

    def ensure_sql(self, name: str | None) -> None:
        """Let the server have what EXECUTE names.

        Raises:
            StatementFailed: only another client has it.
        """
        key = _encoded(name)
        prepared = self._statements.get(key)
        if prepared is None and key in self._held:
            raise failure("26000", f'prepared statement "{name}" does not exist')
        if prepared is None or self.is_on_server(prepared):
            return
        if not prepared.is_sql:
            if prepared.body:
                prepared.request = self.masked(prepared.body)
            self.parse_again(prepared)
            return
        self.make_room(prepared)
        # Not as a simple query, which is sent with savepoints: it may be refused.
        self._backend.current().server.queue_messages(messages.run(prepared.request))

    def ensure_all(self) -> list[str]:
        """Let the server have all that this client has prepared, and return its names."""
        named = [each for each in self._statements.values() if each.name and not each.is_local]
        for prepared in named:
            if prepared.is_sql:
                self.ensure_sql(_shown(prepared.name))
            elif not self.is_on_server(prepared):
                self.parse_again(prepared)
        return [_shown(prepared.name) for prepared in named]

    def prepare_sql(self, statement: Statement) -> None:
        """Remember what PREPARE is about to prepare.

        Raises:
            StatementFailed: there is one of that name.
        """
        name = _encoded(statement.name)
        if name in self._statements:
            raise already_exists(name)
        request = statement.text.encode("utf-8", "surrogateescape")
        bound = Statement(f"EXECUTE {_identifier(name)}", Kind.EXECUTE, statement.name)
        prepared = Prepared(name, bound, request, is_sql=True)
        self.close(name)
        self._statements[name] = prepared

    def prepared_sql(self, name: str | None, *, has_failed: bool = False) -> None:
        """Remember that the server has what PREPARE prepared, or that it refused it."""
        key = _encoded(name)
        if has_failed:
            self._statements.pop(key, None)
        else:
            self._held[key] = self._statements[key]

    def execution_failed(self, name: str | None) -> None:
        """Let the server parse what EXECUTE names again: it may be that what has failed."""
        self._forget_on_server(_encoded(name))

    def deallocate(self, name: str | None) -> None:
        """Forget one statement, or all of them.

        Raises:
            StatementFailed: there is none of that name.
        """
        if name is None:
            self.forget_statements()
            return
        key = _encoded(name)
        prepared = self._statements.pop(key, None)
        if prepared is None:
            raise failure("26000", f'prepared statement "{name}" does not exist')
        self._release(prepared)

    def forget_statements(self) -> None:
        """Let the server forget every statement of this client."""
        statements, self._statements = self._statements, {}
        for prepared in statements.values():
            self._release(prepared)

    def _forget_on_server(self, name: bytes) -> None:
        """Let the server forget what it has under *name*, where there still is one."""
        self._held.pop(name, None)
        server = self._backend.database.server
        if server is None or server.is_lost or not name:
            return
        if name.isascii():
            server.queue_messages(messages.close(b"S", name))
        else:  # the encoding in which the client wrote it may not be that of the session any more
            self._held.clear()
            server.queue("DEALLOCATE ALL")

    def _release(self, prepared: Prepared) -> None:
        if self.is_on_server(prepared):
            self._forget_on_server(prepared.name)


def already_exists(name: bytes) -> StatementFailed:
    """Return what is said to a client that has prepared another statement of that *name*."""
    return failure("42P05", f'prepared statement "{_shown(name)}" already exists')


def _encoded(name: str | None) -> bytes:
    """Return *name* as the client wrote it, in whatever encoding."""
    return (name or "").encode("utf-8", "surrogateescape")


def _identifier(name: bytes) -> str:
    """Return *name* as SQL writes it."""
    return '"' + name.decode("utf-8", "surrogateescape").replace('"', '""') + '"'


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace")
