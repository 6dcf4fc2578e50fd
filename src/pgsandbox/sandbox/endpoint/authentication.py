"""How the endpoint proves to the server who it is: TLS, and the methods that pg_hba.conf names.

PostgreSQL manual, 53.2.1 (start-up) and 53.3 (SASL). GSSAPI and SSPI are left to libpq, which the
endpoint does not use. What needs OpenSSL is imported where it is used: most runs use none.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import messages

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.scram import Scram

Send = Callable[[bytes], None]
Receive = Callable[[], tuple[bytes, bytes]]
"""Returns the next message of the server: its type and its body."""


class NotAuthenticatedError(Exception):
    """The server refused the role, or asked for a proof that can't be given here."""


def with_tls(raw: socket.socket, parameters: Mapping[str, str]) -> socket.socket:
    """Return *raw*, inside of TLS if the parameters ask for it (libpq's ``sslmode``).

    Raises:
        NotAuthenticatedError: TLS is required, and the server has none.
    """
    mode = parameters.get("sslmode", "disable")
    if raw.family == socket.AF_UNIX or mode in ("disable", "allow"):
        return raw
    raw.sendall(struct.pack("!ii", 8, messages.SSL_REQUEST))
    if raw.recv(1) != b"S":
        if mode == "prefer":
            return raw
        raise NotAuthenticatedError(f"sslmode is {mode}, and the server does not offer TLS")
    import ssl

    context = ssl.create_default_context(cafile=parameters.get("sslrootcert") or None)
    context.check_hostname = mode == "verify-full"
    if mode in ("prefer", "require"):
        context.verify_mode = ssl.CERT_NONE
    if parameters.get("sslcert"):
        context.load_cert_chain(parameters["sslcert"], parameters.get("sslkey") or None)
    return context.wrap_socket(raw, server_hostname=parameters.get("host"))


def authenticate(send: Send, receive: Receive, user: str, password: str) -> None:  # noqa: C901  # one answer a way
    """Answer what the server asks until it says AuthenticationOk.

    Raises:
        NotAuthenticatedError: it refuses, or asks for what is not known here.
    """
    scram: Scram | None = None
    while True:
        kind, body = receive()
        if kind == b"E":
            raise NotAuthenticatedError(messages.fields_of(body).get("M", "refused"))
        if kind != b"R":
            raise NotAuthenticatedError("the server broke the protocol")
        (method,) = struct.unpack_from("!i", body)
        if method == 0:
            return
        if method == 3:
            send(messages.message(b"p", messages.text(password)))
        elif method == 5:
            send(messages.message(b"p", messages.text(_md5(user, password, body[4:8]))))
        elif method == 10:
            if b"SCRAM-SHA-256\0" not in body[4:]:
                raise NotAuthenticatedError("the server offers no SASL method that is known here")
            from pgsandbox.sandbox.endpoint.scram import Scram

            scram = Scram(password)
            first = scram.first()
            start = messages.text("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first
            send(messages.message(b"p", start))
        elif method == 11 and scram is not None:
            send(messages.message(b"p", scram.final(body[4:])))
        elif method == 12 and scram is not None:
            scram.verify(body[4:])
        else:
            raise NotAuthenticatedError(
                f"the server asks for authentication by method {method}, which is not known here"
            )


def _md5(user: str, password: str, salt: bytes) -> str:
    import hashlib

    inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest()
