"""How the endpoint proves to the server who it is: TLS, and the methods that pg_hba.conf names.

PostgreSQL manual, 53.2.1 (start-up), 53.3 (SASL), and RFC 5802 and 7677 (SCRAM-SHA-256). GSSAPI and
SSPI are left to libpq, which the endpoint does not use.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
from collections.abc import Callable, Mapping

from pgsandbox.sandbox.endpoint import messages

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
    scram: _Scram | None = None
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
            scram = _Scram(password)
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
    inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest()


class _Scram:
    """One exchange of SCRAM-SHA-256, without channel binding."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        self._bare = f"n=,r={self._nonce}"
        self._signature = b""

    def first(self) -> bytes:
        """Return the client's first message."""
        return f"n,,{self._bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        """Return the client's final message, the proof."""
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        if not fields["r"].startswith(self._nonce):
            raise NotAuthenticatedError("the server's nonce is not ours")
        salt, rounds = base64.b64decode(fields["s"]), int(fields["i"])
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        key = hmac.digest(salted, b"Client Key", "sha256")
        stored = hashlib.sha256(key).digest()
        without_proof = f"c=biws,r={fields['r']}"
        said = f"{self._bare},{challenge.decode()},{without_proof}".encode()
        signature = hmac.digest(stored, said, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self._signature = hmac.digest(server_key, said, "sha256")
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, last: bytes) -> None:
        """Check that the server knows the password, too."""
        proof = base64.b64encode(self._signature)
        if not hmac.compare_digest(last, b"v=" + proof):
            raise NotAuthenticatedError("the server did not prove that it knows the password")
