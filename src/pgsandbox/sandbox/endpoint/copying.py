"""COPY FROM STDIN: rows that a client sends in its own time.

The server's one connection can't wait in the middle of a COPY while other clients go on, and the
same thread may use another connection there. So the endpoint begins the COPY to learn what the
server would say, takes it back, keeps the rows, on disk where they are many, and runs it when all
of them are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.connection import Unit
from pgsandbox.sandbox.endpoint.failures import StatementFailed
from pgsandbox.sandbox.endpoint.server import Outcome, ServerError, nobody
from pgsandbox.sandbox.endpoint.spool import Spool
from pgsandbox.sandbox.endpoint.statements import Kind, Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend


class CopyIn:
    """One COPY whose rows are on their way."""

    def __init__(
        self, backend: Backend, statement: Statement, request: bytes, *, is_extended: bool
    ) -> None:
        self._backend = backend
        self._statement = Statement(statement.text, Kind.WRITE, offset=statement.offset)
        self._request = request
        self._is_extended = is_extended
        self._rows = Spool()
        self._ended_with: str | None = None
        """The test that was over before all rows were there."""

    @classmethod
    def begun(
        cls, backend: Backend, statement: Statement, request: bytes, *, again: bytes | None = None
    ) -> CopyIn | None:
        """Let the server begin the COPY of *request*, and take that back; None if it has no rows.

        *again* is what begins it for good, if it is not the same.

        Raises:
            StatementFailed: the server refused it.
        """
        backend.control.check_level(statement)
        copy = cls(backend, statement, again or request, is_extended=again is not None)
        server = backend.current().server

        def send() -> Outcome:
            server.queue("SAVEPOINT pgsandbox_copy")
            return server.converse(request, backend.execution.forward)

        backend.objects.before(backend.current(), copy._statement)
        outcome = backend.execution.perform(copy._statement, send, is_our_own=True)
        if outcome.copy_in is None:
            server.queue("RELEASE SAVEPOINT pgsandbox_copy")
            return None
        server.send(messages.message(b"f", b"\0") + (messages.SYNC if again else b""))
        server.skip_to_ready()
        server.queue("ROLLBACK TO SAVEPOINT pgsandbox_copy; RELEASE SAVEPOINT pgsandbox_copy")
        if outcome.end_of_mode:
            server.queue(outcome.end_of_mode)
        backend.client.connection.send(outcome.copy_in)
        return copy

    def take(self, unit: Unit) -> None:
        """Take messages of the client; at the end of its rows run the COPY."""
        for kind, body in unit:
            if kind == b"d":
                self._rows.put(messages.message(kind, body))
            elif kind in (b"c", b"f"):
                self._rows.put(messages.message(kind, body))
                self._run()
            elif kind not in (b"S", b"H"):
                words = f"unexpected message type 0x{kind[0]:02X} during COPY from stdin"
                self._rows.close()
                self._backend.copy = None
                self._backend.flow.failed(messages.error("08P01", words))
                words = "terminating connection because protocol synchronization was lost"
                raise messages.ProtocolError(words)

    def cancel(self, response: bytes) -> None:
        """End the COPY with an error; what else the client sends of its rows has no answer."""
        self._end(response)

    def end_with_test(self) -> None:
        """The test is over: the client hears of it when it has sent its rows."""
        transaction = self._backend.transaction
        self._ended_with = transaction.test if transaction is not None else "an earlier test"

    def _run(self) -> None:
        backend = self._backend
        response = None
        try:
            if self._ended_with is not None:
                raise backend.came_late(self._ended_with)
            backend.objects.before(backend.current(), self._statement)  # others had their turn
            backend.execution.perform(self._statement, self._send)
        except (StatementFailed, ServerError) as failed:
            response = backend.flow.response_to(failed)
        self._end(response)

    def _send(self) -> Outcome:
        backend = self._backend
        server = backend.current().server
        outcome = server.converse(self._request, nobody)
        if outcome.copy_in is None:
            return outcome
        while len(self._rows):
            part = self._rows.first()
            server.send(part)
            self._rows.drop(len(part))
        if self._is_extended:
            server.send(messages.SYNC)
        return server.forward_answers(backend.execution.forward)

    def _end(self, response: bytes | None) -> None:
        backend = self._backend
        self._rows.close()
        backend.copy = None
        if response is not None:
            backend.flow.failed(response)
        if self._is_extended:
            if response is not None:
                backend.extended.skip_to_sync()
            return  # its Sync comes after the rows
        if backend.simple.has_rest and response is None:
            backend.flow.resume()
            return
        backend.flow.end_of_unit()
        backend.flow.ready()
