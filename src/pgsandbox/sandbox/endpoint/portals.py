"""Portals: a prepared statement with the parameters that a Bind message gives it.

PostgreSQL manual, 53.7. What follows the names in that message: the formats of the parameters, the
parameters themselves, and the formats of the result.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.failures import failure
from pgsandbox.sandbox.endpoint.prepared import Prepared
from pgsandbox.sandbox.endpoint.server import Outcome, ServerError
from pgsandbox.sandbox.endpoint.statements import Kind, Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

_EVALUATE, _SEEN = "pgsandbox_evaluate", "pgsandbox_seen"


@dataclass(eq=False)
class Portal:
    """A portal that a client has opened."""

    prepared: Prepared
    name: bytes
    """Its name on the server."""
    bound: bytes = b""
    """What follows the names in the Bind message."""

    @property
    def is_binary(self) -> bool:
        """Whether its first column is asked for in binary format, or all are."""
        position = _parameters_end(self.bound)
        (count,) = struct.unpack_from("!h", self.bound, position)
        formats = struct.unpack_from(f"!{count}h", self.bound, position + 2)
        return formats[:1] == (1,)

    def evaluate(self, backend: Backend, expressions: str) -> list[tuple[str | None, ...]]:
        """Return the rows of *expressions*, with the parameters that it was bound to."""
        server = backend.current().server
        data = bytearray()
        rows: list[tuple[str | None, ...]] = []

        def send() -> Outcome:
            # The server's unnamed statement may be gone by now, or another's.
            describe = b"" if self.prepared.name else self.prepared.request
            describe += messages.message(b"D", b"S" + self.prepared.name + b"\0")
            outcome = server.converse(describe + messages.SYNC, data.extend)
            types = next((body for kind, body in _each(data) if kind == b"t"), b"\0\0")
            request = self._question(_EVALUATE, f"SELECT {expressions}", types)
            if outcome.error is None:
                outcome = server.converse(request, data.extend)
            rows.extend(messages.data_row(body) for kind, body in _each(data) if kind == b"D")
            return outcome

        backend.execution.perform(Statement(expressions, Kind.READ), send, is_our_own=True)
        if not self.name:  # it was the server's unnamed one, which is another's now
            again = b"" if self.prepared.name else self.prepared.request
            bound = b"\0" + self.prepared.name + b"\0" + self.bound
            server.queue_messages(again + messages.message(b"B", bound))
        return rows

    def rows_of(self, backend: Backend, sql: str) -> list[tuple[str | None, ...]]:
        """Return the rows of *sql* with the parameters that it was bound to.

        Raises:
            ServerError: the server refused it.
        """
        server = backend.current().server
        data = bytearray()
        outcome = server.converse(self._question(_SEEN, sql, self.prepared.types), data.extend)
        if outcome.error is not None:
            # The savepoint that it is asked in does not undo what was prepared.
            server.queue_messages(messages.close(b"S", _SEEN.encode()))
            raise ServerError(outcome.error)
        return [messages.data_row(body) for kind, body in _each(data) if kind == b"D"]

    def _question(self, name: str, sql: str, types: bytes) -> bytes:
        """Return the messages that run *sql* with its parameters, which are of these *types*."""
        in_text = self.bound[: _parameters_end(self.bound)] + struct.pack("!h", 0)
        return (
            messages.message(b"P", messages.text(name, sql) + types)
            + messages.message(b"B", b"\0" + name.encode() + b"\0" + in_text)
            + messages.message(b"E", b"\0" + struct.pack("!i", 0))
            + messages.close(b"S", name.encode())
            + messages.SYNC
        )


def check_unbound(bound: bytes) -> None:
    """Refuse what a Bind of a statement without parameters can't say after its names.

    Raises:
        StatementFailed: with what the server says.
    """
    try:
        (formats,) = struct.unpack_from("!h", bound)
        (count,) = struct.unpack_from("!h", bound, 2 + 2 * formats)
        end = _parameters_end(bound)
        (results,) = struct.unpack_from("!h", bound, end)
    except struct.error:
        raise failure("08P01", "insufficient data left in message") from None
    if formats > 1 and formats != count:
        words = f"bind message has {formats} parameter formats but {count} parameters"
        raise failure("08P01", words)
    if count:
        words = f"bind message supplies {count} parameters, but the prepared statement requires 0"
        raise failure("08P01", words)
    if len(bound) != end + 2 + 2 * results:
        raise failure("08P01", "invalid message format")


def _parameters_end(bound: bytes) -> int:
    """Return where the codes of the result's formats begin in what follows a Bind's names."""
    (formats,) = struct.unpack_from("!h", bound)
    position: int = 2 + 2 * formats
    (count,) = struct.unpack_from("!h", bound, position)
    position += 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", bound, position)
        position += 4 + max(length, 0)
    return position


def _each(data: bytearray) -> Iterator[tuple[bytes, bytes]]:
    while (found := messages.take(data)) is not None:
        yield found
