"""SCRAM-SHA-256, by which endpoint and server prove to each other that they know a password.

RFC 5802 and 7677.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from pgsandbox.sandbox.endpoint.authentication import NotAuthenticatedError


class Scram:
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
