"""One client of the endpoint, from its start-up packet to its end."""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pgsandbox.errors import PgSandboxError
from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.backend import Backend
from pgsandbox.sandbox.endpoint.connection import ClientConnection, Unit
from pgsandbox.sandbox.endpoint.failures import StatementFailed, Waiting
from pgsandbox.sandbox.endpoint.polling import process_of
from pgsandbox.sandbox.endpoint.server import ServerError, ServerLost
from pgsandbox.sandbox.endpoint.settings import KEPT_AWAY, checked, parse_options

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.endpoint import Endpoint

TOKEN = "pgsandbox.client"  # noqa: S105  # the name of an option
"""The start-up option by which the test process says whose connection it is."""

_FIRST_PID = 1_000_000
"""What clients take for their backend's process id: greater than the system's own, as a rule."""
_NOT_PARAMETERS = frozenset({"user", "database", "options", "replication"})
_ON_REQUEST = "canceling statement due to user request"
_ANSWERED = frozenset({b"Q", b"F", b"P", b"B", b"D", b"E", b"C", b"S", b"H"})
"""The messages that have an answer, unlike those of a COPY and the last one of a session."""
_URGENT = frozenset({messages.CANCEL_REQUEST, messages.SSL_REQUEST, messages.GSS_REQUEST})
_OURS = "the test process"
_UTF8 = frozenset({"utf8", "unicode"})


class Client:
    """One client: who it is, what it waits for, and the session that it has."""

    def __init__(self, endpoint: Endpoint, accepted: socket.socket, number: int) -> None:
        self.endpoint = endpoint
        self.number = number
        self.pid = _FIRST_PID + number
        self.key = int.from_bytes(os.urandom(4)) >> 1
        self.connection = ClientConnection(accepted)
        self.backend: Backend | None = None
        """None until it has been let in."""
        self.token = ""
        """What the test process calls it; empty if it knows nothing of it."""
        self.is_watched_for_sending = False
        """Whether the loop waits for it to take what is left of an answer."""
        self.is_idle = False
        """Whether it has an answer to everything that it has sent."""
        self.waiting: Unit | None = None
        """What is left of a unit that waits for another client; empty if it is a text's rest."""
        self.is_cancelled = False
        """Whether it was asked to cancel what it is served at the moment."""
        self.cancels_next = False
        """Whether it was asked to cancel what it has sent and what has not had its turn."""
        self.waits_until: float | None = None
        self._timeout = ("57014", "")
        """How its wait ends then: SQLSTATE and message."""
        self._asked: dict[str, str] | None = None
        """Its start-up parameters, while it owes a password."""
        self._is_tcp = accepted.family != socket.AF_UNIX
        self.is_strange = False
        """Whether it is another process, of whose threads nobody knows anything."""

    def says_who_it_is(self) -> bool:
        """Whether it has sent what begins a session, or is gone."""
        code = self.connection.startup_code()
        return self.connection.is_closed or (code is not None and code not in _URGENT)

    def serve_urgently(self) -> bool:
        """Answer what can't wait until the server is free; whether nothing of it can come any more.

        That is a CancelRequest, and what negotiates about encryption before it.
        """
        while (code := self.connection.startup_code()) is not None:
            if code not in _URGENT:
                return True
            self._guarded(self._negotiate)
            if self.connection.is_closed:
                return True
        return self.connection.is_closed

    # -- its messages -------------------------------------------------------------------------

    def serve(self) -> None:
        """Answer what the client has sent; a breach of the protocol ends its connection."""
        self._guarded(self._serve)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do *work* for the client; whatever goes wrong in it ends no more than its connection."""
        try:
            work()
        except messages.ProtocolError as error:
            self._send_away(messages.error("08P01", str(error), severity="FATAL"))
        except struct.error:  # a message ended before what it said it holds
            words = "insufficient data left in message"
            self._send_away(messages.error("08P01", words, severity="FATAL"))
        except ServerLost:
            words = "the connection that holds the test was cut"
            self._send_away(messages.error("57P01", words, severity="FATAL"))
        except Exception as error:  # noqa: BLE001  # a fault of ours, which the test's report names
            self.endpoint.database.broke_down(error)
            words = "pgsandbox: internal error, which the report of the test tells"
            self._send_away(messages.error("XX000", words, severity="FATAL"))
        self.connection.flush()

    def _serve(self) -> None:
        if self.backend is None:
            self._start()
        if self.backend is not None and self.waiting is None:
            self._take_units(self.backend)

    def _take_units(self, backend: Backend) -> None:
        self.is_idle = False
        while not self.connection.is_closed or self.connection.has_input:
            unit = self.connection.next_unit()
            if unit is None:
                break
            if unit[-1][0] == b"X":
                self.connection.flush()
                self.connection.is_closed = True
                break
            if not self._handle(backend, unit):
                return
        self.is_idle = True

    def _handle(self, backend: Backend, unit: Unit) -> bool:
        self.is_cancelled = False
        if self.cancels_next:
            self.cancels_next = False
            backend.flow.stop_waiting(messages.error("57014", _ON_REQUEST), unit)
            return True
        try:
            backend.flow.handle(unit)
        except Waiting as waiting:
            self._wait(backend, waiting)
            return False
        return True

    def _wait(self, backend: Backend, waiting: Waiting) -> None:
        self.connection.flush()
        self.waiting = waiting.unit
        if self.waits_until is None:
            try:
                limits = backend.flow.limits()
            except StatementFailed:  # the client has cancelled it at this moment
                self.stop_waiting("57014", _ON_REQUEST)
                return
            if limits is not None:
                seconds, code, what = limits
                self.waits_until = time.monotonic() + seconds
                self._timeout = code, f"canceling statement due to {what} timeout"
        if self.is_cancelled:  # before it was known that it has to wait
            self.cancel_wait()

    def try_again(self) -> None:
        """Go on with what waited for another client."""
        self._guarded(self._try_again)
        if self.waiting is None:
            self.serve()

    def _try_again(self) -> None:
        unit, self.waiting = self.waiting, None
        backend = self.backend
        if unit is None or backend is None:
            return
        try:
            if unit:
                backend.flow.handle(unit)
            else:
                backend.flow.resume()
        except Waiting as waiting:
            self._wait(backend, waiting)
            return
        self.waits_until = None

    def stop_waiting(self, code: str, words: str) -> None:
        """End the wait for another client with an error."""
        self._guarded(lambda: self._stop_waiting(messages.error(code, words)))
        self.serve()

    def _stop_waiting(self, response: bytes) -> None:
        unit, self.waiting = self.waiting, None
        self.waits_until = None
        if self.backend is not None and unit is not None:
            self.backend.flow.stop_waiting(response, unit)

    def stop_at_end(self) -> None:
        """The test is over, and nobody will free what the client waits for."""
        self.stop_waiting("57014", "canceling statement due to the end of the test")

    def time_is_over(self) -> None:
        """The client has waited for as long as its own settings allow."""
        self.stop_waiting(*self._timeout)

    def cancel_unserved(self) -> None:
        """Cancel what the client has sent and what has not had its turn.

        It hears of that at once where the server is not needed: on a server of its own it would not
        wait for what another client runs either.
        """
        self._guarded(self._cancel_unserved)

    def _cancel_unserved(self) -> None:
        backend, connection = self.backend, self.connection
        connection.receive()
        flow = backend.flow if backend is not None else None
        if flow is not None and flow.can_fail_at_once and connection.next_kind in _ANSWERED:
            unit = connection.next_unit()
            if unit is not None:
                flow.cancel_unserved(messages.error("57014", _ON_REQUEST), unit)
                return
        self.cancels_next = connection.has_input

    def cancel_wait(self) -> None:
        """Let the wait for another client end with its next turn; another may have one now."""
        self.is_cancelled = False
        self.waits_until = 0.0
        self._timeout = "57014", _ON_REQUEST

    def end(self) -> None:
        """Let it go as a server's backend goes that an administrator ends."""
        words = "terminating connection due to administrator command"
        self._send_away(messages.error("57P01", words, severity="FATAL"))

    def _send_away(self, response: bytes) -> None:
        self.connection.send(response)
        self.connection.flush()
        self.connection.is_closed = True

    # -- its start ----------------------------------------------------------------------------

    def _start(self) -> None:
        """Read start-up packets until the client is let in, or sent away."""
        while self.backend is None and not self.connection.is_closed:
            if self._asked is not None:
                found = self.connection.take_message()
                if found is None:
                    return
                self._check_password(*found)
                continue
            packet = self.connection.take_startup()
            if packet is None:
                return
            (code,) = struct.unpack_from("!i", packet)
            if code in _URGENT:
                self._urgent(code, packet)
            elif code >> 16 == 3:
                self._introduced(_parameters(packet), code)
            else:
                major, minor = code >> 16, code & 0xFFFF
                words = f"unsupported frontend protocol {major}.{minor}: server supports 3.0"
                self._send_away(messages.error("0A000", words, severity="FATAL"))

    def _negotiate(self) -> None:
        packet = self.connection.take_startup()
        if packet is not None:
            self._urgent(struct.unpack_from("!i", packet)[0], packet)
        else:
            raise messages.ProtocolError("incomplete startup packet")

    def _urgent(self, code: int, packet: bytes) -> None:
        if code == messages.CANCEL_REQUEST:
            if len(packet) == 12:
                self.endpoint.cancel(*struct.unpack_from("!ii", packet, 4))
            self.connection.is_closed = True
        else:
            self.connection.send(b"N")
            self.connection.flush()

    def _introduced(self, asked: dict[str, str], code: int) -> None:
        unknown = [name for name in asked if name.startswith("_pq_.")]
        if code & 0xFFFF or unknown:  # NegotiateProtocolVersion (manual, 53.7)
            body = struct.pack("!ii", messages.PROTOCOL_3, len(unknown)) + messages.text(*unknown)
            self.connection.send(messages.message(b"v", body))
        if self._is_tcp:
            self._asked = asked
            self.connection.send(messages.message(b"R", struct.pack("!i", 3)))
            self.connection.flush()
        else:
            self._let_in(asked)

    def _check_password(self, kind: bytes, body: bytes) -> None:
        asked, self._asked = self._asked or {}, None
        import hmac  # it brings OpenSSL, which nobody needs on a Unix socket

        password = self.endpoint.password
        given = messages.string(body)[0] if kind == b"p" else b""
        if password and hmac.compare_digest(given, password.encode()):
            self._let_in(asked)
            return
        words = f'password authentication failed for user "{asked.get("user", "")}"'
        self._send_away(messages.error("28P01", words, severity="FATAL"))

    def _let_in(self, asked: dict[str, str]) -> None:
        database = self.endpoint.database
        name = asked.get("database") or asked.get("user", "")
        if database.server is None and not database.parameters:
            words = "the test database is not there yet"
            self._send_away(messages.error("57P03", words, severity="FATAL"))
            return
        if name != database.parameters.get("database"):
            words = f'database "{name}" does not exist'
            self._send_away(messages.error("3D000", words, severity="FATAL"))
            return
        if asked.get("replication", "false").lower() not in ("false", "off", "no", "0"):
            words = "pgsandbox: a sandboxed test has no replication connections"
            self._send_away(messages.error("0A000", words, severity="FATAL"))
            return
        wanted = parse_options(asked.get("options", ""))
        wanted |= {name: each for name, each in asked.items() if name not in _NOT_PARAMETERS}
        # The names of parameters have no case.
        wanted = {k.lower(): value for k, value in wanted.items() if not k.startswith("_pq_.")}
        wanted = {name: value for name, value in wanted.items() if name not in KEPT_AWAY}
        self.token = wanted.pop(TOKEN, "")
        application_name = wanted.pop("application_name", "")
        encoding = re.sub(r"\W|_", "", wanted.get("client_encoding", "utf8")).lower()
        if encoding in _UTF8:
            wanted.pop("client_encoding", None)
        try:
            defaults = checked(wanted, database.server)
        except (ServerError, ServerLost) as error:
            fields = getattr(error, "fields", {})
            words = fields.get("M", "the connection that holds the test was cut")
            code = fields.get("C", "57P01")
            self._send_away(messages.error(code, words, severity="FATAL"))
            return
        self._welcome(defaults, application_name)

    def _welcome(self, defaults: dict[str, str], application_name: str) -> None:
        endpoint = self.endpoint
        about = endpoint.calls.told_of(self.token)
        peer = self._peer()
        self.is_strange = not about and peer != _OURS
        self.backend = Backend(
            self,
            endpoint.database,
            label=str(about.get("label") or f"a connection of {peer}"),
            is_arranging=bool(about.get("is_arranging")),
            lets_isolation_pass=bool(about.get("lets_isolation_pass")),
            defaults=defaults,
            application_name=application_name,
            peer=endpoint.backend_of(str(about.get("shares_with") or "")),
        )
        self.backend.is_set_up = not about or bool(about.get("is_raw"))
        endpoint.database.backends.append(self.backend)
        send = self.connection.send
        send(messages.message(b"R", struct.pack("!i", 0)))
        reported = dict(endpoint.database.reported)
        reported["application_name"] = application_name
        for name in list(reported):
            reported[name] = defaults.get(name.lower(), reported[name])
        self.backend.flow.told = reported
        for name, value in reported.items():
            send(messages.parameter(name, value))
        send(messages.key_data(self.pid, self.key))
        send(messages.ready(messages.IDLE))
        self.is_idle = True

    def _peer(self) -> str:
        if self._is_tcp:
            return "another process, over TCP"
        pid = process_of(self.connection.socket)
        if pid == self.endpoint.test_process:
            return _OURS
        return f"the process {pid}" if pid else "a process that does not say which"

    # -- its end ------------------------------------------------------------------------------

    def close(self) -> None:
        """The client is gone: what it has not committed is undone."""
        if self.backend is not None:
            if self.backend in self.endpoint.database.backends:
                self.endpoint.database.backends.remove(self.backend)
            try:
                self.backend.close()
            except (PgSandboxError, ServerError, ServerLost):
                pass  # the test's end tells it
            except Exception as error:  # noqa: BLE001  # a fault of ours
                self.endpoint.database.broke_down(error)
            self.backend = None
        self.connection.close()


def _parameters(packet: bytes) -> dict[str, str]:
    found, position = {}, 4
    while position < len(packet) and packet[position : position + 1] != b"\0":
        name, position = messages.string(packet, position)
        value, position = messages.string(packet, position)
        found[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return found
