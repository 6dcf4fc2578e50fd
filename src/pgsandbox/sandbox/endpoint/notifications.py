"""LISTEN and NOTIFY: what a commit of one client delivers to the others.

PostgreSQL delivers notifications when their transaction commits for real, which a sandboxed test's
never does. So they are kept here, and delivered when the client's own transaction commits (manual,
NOTIFY). What larger queries, functions and triggers notify, they write down in a parameter of the
session, which is read after the statement: see `own_state` and `routines`.
"""

from __future__ import annotations

import json
import re
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import lexer, messages
from pgsandbox.sandbox.endpoint.sessions import ClientSession
from pgsandbox.sandbox.endpoint.statements import Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend
    from pgsandbox.sandbox.endpoint.server import ServerConnection

_CALL = re.compile(r"\s*SELECT\s+(?:pg_catalog\.)?pg_notify\s*(\(.*)", re.IGNORECASE | re.DOTALL)

_PLAIN = re.compile(
    r"""\s*NOTIFY\s+(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)\s*(?:,\s*'[^'\\]*(?:''[^'\\]*)*')?\s*;?\s*""",
    re.IGNORECASE,
)
_LONGEST_NAME = 63


def notify_call(statement: Statement) -> str | None:
    """Return expressions for channel and payload, if *statement* calls pg_notify alone."""
    return _arguments_of(statement.text) if "pg_notify" in statement.text else None


@lru_cache(maxsize=256)
def _arguments_of(text: str) -> str | None:
    match = _CALL.fullmatch(text)
    found = lexer.split_arguments(match[1]) if match else None
    if found is None or found[1].strip("; \n\t"):
        return None
    parts, depth, start = [], 0, 0
    for kind, begin, end in lexer.tokens(found[0]):
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(kind, 0)
        if kind == "," and depth == 0:
            parts.append(found[0][start:begin])
            start = end
    parts.append(found[0][start:])
    return ", ".join(f"({each})::text" for each in parts) if len(parts) == 2 else None


def cut(name: str | None) -> tuple[bytes, str | None]:
    """Return *name* as the server cuts it (PostgreSQL manual, 4.1.1), and what it says of that."""
    encoded = (name or "").encode("utf-8", "surrogateescape")
    if len(encoded) <= _LONGEST_NAME:
        return b"", name
    short = encoded[:_LONGEST_NAME].decode(errors="ignore")
    words = f'identifier "{name}" will be truncated to "{short}"'
    return messages.report(b"N", "NOTICE", "42622", words), short


def is_plain_notify(text: str) -> bool:
    """Whether *text* is a NOTIFY whose payload is what stands between its quotation marks."""
    return _PLAIN.fullmatch(text) is not None


def literal_of(text: str) -> str:
    """Return what stands behind the channel of a NOTIFY and its comma."""
    for token in lexer.tokens(text):
        if token.kind == ",":
            return text[token.end :].rstrip("; \t\r\n")
    return ""


def payload_of(text: str) -> str:
    """Return the payload that a NOTIFY carries."""
    literals = [text[t.start : t.end] for t in lexer.tokens(text) if t.kind == "string"]
    if not literals:
        return ""
    literal = literals[0]
    if literal[0] in "eE":
        return re.sub(r"\\(.)", r"\1", literal[2:-1]).replace("''", "'")
    if literal.startswith("$"):
        tag = literal.index("$", 1) + 1
        return literal[tag:-tag]
    return literal[1:-1].replace("''", "'")


class Notifications:
    """What one client listens to, has notified in its transaction, and is to be told."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._channels: set[str] = set()
        self._pending: list[tuple[int, str, str | None, str]] = []
        """What its transaction did: savepoints then, LISTEN or so, channel, payload."""
        self._queue: deque[bytes] = deque()

    @property
    def channels(self) -> set[str]:
        """What the client listens to."""
        return self._channels

    def listen(self, channel: str | None, is_on: bool) -> None:
        """LISTEN to a channel, or UNLISTEN; every channel if it is None."""
        word = "LISTEN" if is_on else "UNLISTEN"
        if is_on:
            self._backend.database.listeners.add(self._backend)
        self._pending.append((self._backend.session.depth(), word, channel, ""))

    def notify(self, channel: str, payload: str) -> None:
        """NOTIFY at the next commit."""
        self._pending.append((self._backend.session.depth(), "NOTIFY", channel, payload))

    def gather(self, server: ServerConnection) -> None:
        """Take what the server has written down of notifications since this was asked last."""
        written = server.rows("SELECT current_setting('pgsandbox.notified', true)")[0][0]
        if written:
            server.queue("SELECT set_config('pgsandbox.notified', '', false)")
            for line in written.splitlines():
                channel, payload = json.loads(line)
                self.notify(channel or "", payload or "")

    def committed(self) -> None:
        """The client's transaction was committed: tell everybody who listens."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        said: dict[tuple[str, str], None] = {}
        for _, word, channel, payload in pending:
            if word == "NOTIFY":
                said[channel or "", payload] = None
            elif word == "LISTEN":
                self._channels.add(channel or "")
            elif channel is None:
                self._channels.clear()
                self._backend.database.listeners.discard(self._backend)
            else:
                self._channels.discard(channel)
        pid = self._backend.client.pid
        for channel, payload in said:
            message = messages.notification(pid, channel, payload)
            for other in self._backend.database.backends:
                other.notifications.hear(channel, message)
        for other in self._backend.database.backends:
            if other is not self._backend:
                other.notifications.deliver_at_once()

    def hear(self, channel: str, message: bytes) -> None:
        """Take a notification, for when the client is told."""
        if channel in self._channels:
            self._queue.append(message)

    def deliver_at_once(self) -> None:
        """Tell a client that waits for nothing else, who has to read some before it gets more."""
        client = self._backend.client
        if self._queue and client.is_idle:
            self.deliver()
            client.connection.flush()
            client.endpoint.watch_for_sending(client)

    def deliver(self) -> None:
        """Tell the client what it has not heard, unless it is in a transaction."""
        while self._queue and not self._backend.session.is_explicit:
            self._backend.client.connection.send(self._queue.popleft())

    def rolled_back(self, session: ClientSession) -> None:
        """The client went back to a savepoint."""
        depth = session.depth()
        self._pending = [each for each in self._pending if each[0] < depth]

    def released(self, session: ClientSession) -> None:
        """The client released a savepoint."""
        depth = session.depth()
        self._pending = [(min(each[0], depth), *each[1:]) for each in self._pending]

    def forget(self) -> None:
        """The client's transaction was rolled back."""
        self._pending.clear()
