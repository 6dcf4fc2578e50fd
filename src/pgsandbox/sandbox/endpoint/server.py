"""The one connection to the server that holds the transaction of the running test."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pgsandbox.errors import DatabaseError
from pgsandbox.sandbox.endpoint import authentication, messages
from pgsandbox.sandbox.endpoint.messages import FAILED, IDLE, IN_TRANSACTION

_HEADER = struct.Struct("!ci")
_CHUNK = 262_144

CONNECT_TIMEOUT = 10.0
"""Seconds within which the server has to let the endpoint in."""


class ServerLost(Exception):
    """The connection to the server is gone, or the server stands still beyond a deadline."""


class ServerError(Exception):
    """The server answered with an error to what the endpoint itself had sent."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        """The body of its ErrorResponse."""
        self.fields = messages.fields_of(body)
        super().__init__(self.fields.get("M", ""))

    @property
    def sqlstate(self) -> str:
        """Its SQLSTATE."""
        return self.fields.get("C", "")

    @property
    def with_detail(self) -> str:
        """What the server said, with the detail: the key of a constraint, say."""
        detail = self.fields.get("D")
        return f"{self}\nDETAIL:  {detail}" if detail else str(self)


@dataclass
class Outcome:
    """What came of a statement that was sent for a client."""

    error: bytes | None = None
    """The body of the ErrorResponse, if it failed; it was not forwarded."""
    copy_in: bytes | None = None
    """CopyInResponse: the server waits for rows."""
    end_of_mode: str = ""
    """What has to follow a COPY that only began, so that the transaction's mode ends."""
    parsed: int = 0
    """How many ParseComplete came back."""
    tags: list[bytes] = field(default_factory=list)
    """What the server said at the end of each statement."""


Forward = Callable[[bytes | memoryview], None]
"""Takes bytes that belong to the client; whole messages."""

Wait = Callable[["ServerConnection"], None]
"""Returns when the server's socket can be read."""


class ServerConnection:
    """A session on the server on which nobody but the test transaction begins or ends anything."""

    def __init__(self, parameters: Mapping[str, str], wait: Wait | None = None) -> None:
        self.parameters = dict(parameters)
        self.wait: Wait = wait or _wait_for_ever
        self.deadline: float | None = None
        """When, by the monotonic clock, the server must have answered."""
        self.status = IDLE
        """Where its transaction stands, as the last ReadyForQuery said it."""
        self.is_lost = False
        self.reported: dict[str, str] = {}
        """The parameters that the server reports, by ParameterStatus."""
        self.reports = 0
        """How often it has reported one."""
        self.notices: list[bytes] = []
        """What the server remarked on statements of the endpoint's own."""
        self.placeholders: dict[str, str] = {}
        """Custom parameters that were set in this session, so that the server knows them from now
        on; each with a name of the same length that it does not know."""
        self.pid = 0
        self._key = b""
        self._queued: list[str] = []
        self._extra: list[bytes] = []
        self.is_answering = False
        """Whether what a client waits for is running."""
        self._is_to_cancel = False
        """Whether that is to be cancelled as soon as it runs."""
        self._buffer = bytearray()
        self._socket = self._connect()
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._prove()

    # -- starting -----------------------------------------------------------------------------

    def _connect(self) -> socket.socket:
        given = self.parameters
        raw = self._opened()
        raw.settimeout(CONNECT_TIMEOUT)
        self._socket = authentication.with_tls(raw, given)
        self._is_tls = self._socket is not raw
        wanted = {"user": given["user"], "database": given["database"]}
        wanted |= {"application_name": "pgsandbox", "client_encoding": "UTF8"}
        if given.get("options"):
            wanted["options"] = given["options"]
        self._socket.sendall(messages.startup(wanted))
        authentication.authenticate(
            self._socket.sendall, self._next, given["user"], given.get("password", "")
        )
        while True:
            kind, body = self._next()
            if kind == b"E":
                raise ServerError(body)
            if kind == b"S":
                self._learn(body)
            elif kind == b"K":
                (self.pid,) = struct.unpack_from("!i", body)
                self._key = body[4:]
            elif kind == b"Z":
                return self._socket

    def _opened(self) -> socket.socket:
        host = self.parameters.get("hostaddr") or self.parameters["host"]
        port = int(self.parameters["port"])
        if host.startswith("/"):
            raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            raw.settimeout(CONNECT_TIMEOUT)
            raw.connect(f"{host}/.s.PGSQL.{port}")
            return raw
        raw = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return raw

    def _prove(self) -> None:
        """Raise DatabaseError unless this is the database of the run, by oid and by server.

        Fresh servers count oids from the same number, so another may have one of that name and oid.
        """
        oid, system = self.parameters.get("oid"), self.parameters.get("system")
        if oid is None:
            return
        found = "SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()"
        if system:
            found += " UNION ALL SELECT system_identifier::text FROM pg_catalog.pg_control_system()"
        told = [oid, system] if system else [oid]
        if [value for (value,) in self.rows(found)] == told:
            return
        self.close()
        raise DatabaseError(
            f'The test database "{self.parameters["database"]}" is not the one that pgsandbox has '
            "made.",
            remedy="Its address has led to another server than before. Give an address of one.",
        )

    def _next(self) -> tuple[bytes, bytes]:
        while (found := messages.take(self._buffer)) is None:
            received = self._socket.recv(_CHUNK)
            if not received:
                raise ServerLost("the server closed the connection")
            self._buffer += received
        return found

    def _learn(self, body: bytes) -> None:
        name, rest = messages.string(body)
        self.reports += 1
        self.reported[name.decode()] = messages.string(body, rest)[0].decode("utf-8", "replace")

    # -- asking for ourselves -----------------------------------------------------------------

    def queue(self, sql: str) -> None:
        """Send *sql* right before whatever is sent next; it can't fail, and nobody reads it."""
        self._queued.append(sql)

    def queue_messages(self, extended: bytes) -> None:
        """Send messages of the extended protocol right before whatever is sent next."""
        if extended:
            self._extra.append(extended)

    def take_messages(self) -> bytes:
        """Return what `queue_messages` was given and nobody has sent, and don't send it."""
        extra, self._extra = b"".join(self._extra), []
        return extra

    @property
    def has_failed(self) -> bool:
        """Whether the server waits for a rollback that is not queued yet."""
        return self.status == FAILED and not self._queued

    def execute(self, sql: str) -> None:
        """Run *sql*, which may hold several statements.

        Raises:
            ServerError: the server refused one of them.
        """
        self.rows(sql)

    def rows(self, sql: str) -> list[tuple[str | None, ...]]:
        """Run *sql* and return the rows of its last statement that has any, as text.

        Raises:
            ServerError: the server refused a statement.
        """
        self.send_queued(messages.query(sql))
        self.notices.clear()
        found: list[tuple[str | None, ...]] = []
        error: bytes | None = None
        while True:
            kind, body = self._received()
            if kind == b"D":
                found.append(messages.data_row(body))
            elif kind == b"T":
                found = []
            elif kind == b"N":
                self.notices.append(messages.message(kind, body))
            elif kind == b"E":
                error = error or body
            elif kind == b"Z":
                self.status = body
                break
        if error is not None:
            raise ServerError(error)
        return found

    def flush(self) -> None:
        """Send what is queued and wait for its end."""
        if self._queued or self._extra:
            self.send_queued(b"")

    def send_queued(self, following: bytes) -> None:
        """Send what is queued and *following* in one write; read the answers to the first.

        Raises:
            ServerError: what was queued failed, and so what follows it will.
        """
        queued, groups = b"", 0
        if self._queued:
            queued, groups = messages.query("; ".join(self._queued)), 1
            self._queued = []
        if self._extra:
            queued, groups = queued + b"".join(self._extra) + messages.SYNC, groups + 1
            self._extra = []
        self._send(queued + following)
        error: bytes | None = None
        while groups:
            kind, body = self._received()
            if kind == b"E":
                error = error or body
            elif kind == b"Z":
                self.status = body
                groups -= 1
        if error is not None:
            if following:
                self.skip_to_ready()
            raise ServerError(error)

    # -- asking for a client ------------------------------------------------------------------

    def converse(self, request: bytes, forward: Forward) -> Outcome:
        """Send *request* for a client, forward what answers it, and return what came of it.

        *request* ends with what makes the server say ReadyForQuery, which is not forwarded; nor is
        an ErrorResponse, which is in the outcome.

        Raises:
            ServerError: what was queued before it failed.
        """
        self._is_to_cancel = False
        self.send_queued(request)
        return self.forward_answers(forward)

    def forward_answers(self, forward: Forward) -> Outcome:
        """Forward what answers a client, as `converse` does; the client can cancel it."""
        self.is_answering = True
        try:
            if self._is_to_cancel:
                self.cancel()
            return self._forward(forward)
        finally:
            self.is_answering = self._is_to_cancel = False

    def cancel_for_client(self) -> None:
        """Cancel what runs for a client; what the endpoint sent before it runs to its end."""
        if self.is_answering:
            self.cancel()
        else:
            self._is_to_cancel = True

    def _forward(self, forward: Forward) -> Outcome:  # noqa: C901, PLR0912  # one loop over messages
        """Forward messages up to the next ReadyForQuery, or to a request for rows."""
        outcome = Outcome()
        buffer = self._buffer
        unpack = _HEADER.unpack_from
        while True:
            start = position = 0
            size = len(buffer)
            while size - position >= 5:
                kind, length = unpack(buffer, position)
                end = position + 1 + length
                if end > size:
                    break
                if kind == b"D" or kind == b"d":  # noqa: PLR1714 - the loop's most frequent line
                    position = end
                    continue
                if kind == b"C":
                    outcome.tags.append(bytes(buffer[position + 5 : end - 1]))
                elif kind in _OF_INTEREST:
                    body = bytes(buffer[position + 5 : end])
                    if kind == b"Z":
                        if position > start:
                            forward(bytes(buffer[start:position]))
                        del buffer[:end]
                        self.status = body
                        return outcome
                    if kind == b"E":
                        if position > start:
                            forward(bytes(buffer[start:position]))
                        outcome.error = outcome.error or body
                        if body.find(b"\0VFATAL\0") >= 0 or body.find(b"\0VPANIC\0") >= 0:
                            self.is_lost = True
                        start = end
                    elif kind == b"G":
                        if position > start:
                            forward(bytes(buffer[start:position]))
                        del buffer[:end]
                        outcome.copy_in = messages.message(b"G", body)
                        return outcome
                    elif kind == b"1":
                        outcome.parsed += 1
                    elif kind == b"S":  # clients are told when they get ReadyForQuery
                        if position > start:
                            forward(bytes(buffer[start:position]))
                        self._learn(body)
                        start = end
                position = end
            if position > start:
                forward(bytes(buffer[start:position]))
            del buffer[:position]
            self._receive()

    def skip_to_ready(self) -> None:
        """Read up to the next ReadyForQuery, for nobody."""
        self._forward(nobody)

    def send(self, data: bytes) -> None:
        """Send *data*, of a COPY."""
        self._send(data)

    # -- the socket ---------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor of its socket."""
        return self._socket.fileno()

    def cancel(self) -> None:
        """Ask the server to stop the statement that runs (manual, 53.2.8); never raises."""
        with contextlib.suppress(OSError, authentication.NotAuthenticatedError):
            raw = self._opened()
            raw.settimeout(5)
            with authentication.with_tls(raw, self.parameters) as connection:
                connection.sendall(messages.cancel(self.pid, self._key))
                # It closes when the signal is sent, so the server takes it before it takes anything
                # that is sent from now on; where nothing runs any more, it ignores it.
                connection.recv(1)

    def close(self) -> None:
        """Close the connection, in whatever state it is; never raises."""
        self.is_lost = True
        with contextlib.suppress(OSError):
            self._socket.setblocking(False)
            self._socket.send(messages.message(b"X"))
        with contextlib.suppress(OSError):
            self._socket.close()

    def is_cut(self) -> bool:
        """Whether the server has closed the connection; looks without waiting."""
        if self.is_lost:
            return True
        if self._poll.poll(0):
            try:
                self._receive(is_there=True)
            except ServerLost:
                return True
            self._take_what_nobody_asked_for()
        return self.is_lost

    def _take_what_nobody_asked_for(self) -> None:
        while (found := messages.take(self._buffer)) is not None:
            kind, body = found
            if kind == b"S":
                self._learn(body)
            elif kind == b"E":
                self.is_lost = True

    def _received(self) -> tuple[bytes, bytes]:
        while (found := messages.take(self._buffer)) is None:
            self._receive()
        if found[0] == b"S":
            self._learn(found[1])
        elif found[0] == b"E" and messages.fields_of(found[1]).get("V") in ("FATAL", "PANIC"):
            self.is_lost = True
        return found

    def _receive(self, *, is_there: bool = False) -> None:
        """Read what the server says; unless something *is there*, it has to be waited for."""
        if not is_there and not self._is_tls:  # which may have read ahead
            self.wait(self)
            self._check_deadline()
        while True:
            try:
                received = self._socket.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                self.wait(self)
                self._check_deadline()
                continue
            except OSError as error:
                # TLS says so when it needs more bytes; it is an OSError, too.
                if type(error).__name__ == "SSLWantReadError":
                    self.wait(self)
                    self._check_deadline()
                    continue
                raise self._is_gone() from error
            if not received:
                raise self._is_gone()
            self._buffer += received
            return

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except (BlockingIOError, InterruptedError):
                self._wait_to_send()
            except OSError as error:
                if type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError"):
                    self._wait_to_send()
                    continue
                raise self._is_gone() from error

    def _wait_to_send(self) -> None:
        """Wait until the server takes more; what it says meanwhile is kept, so that it goes on."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLOUT)
        events = poll.poll(1000)
        self._check_deadline()
        if any(event & select.POLLIN for _, event in events):
            with contextlib.suppress(BlockingIOError):
                received = self._socket.recv(_CHUNK)
                if not received:
                    raise self._is_gone()
                self._buffer += received

    def _check_deadline(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise self._is_gone()

    def _is_gone(self) -> ServerLost:
        self.close()
        return ServerLost("the connection to the server is gone")

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open and usable."""
        return self.status == IN_TRANSACTION


_OF_INTEREST = frozenset({b"Z", b"E", b"G", b"1", b"S"})


def nobody(_: bytes | memoryview) -> None:
    """Forward an answer to no client."""


def _wait_for_ever(server: ServerConnection) -> None:
    server._poll.poll(1000)
