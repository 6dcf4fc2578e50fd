"""Advisory locks, which conflict between the clients of one test as they do between sessions.

All clients share one session on the server, which grants itself every lock again. So who holds what
is kept here, for calls that stand alone in their statement (``SELECT pg_advisory_lock(...)``), as
applications send them. The locks are taken on the server as well, so that other sessions see them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import lexer, messages
from pgsandbox.sandbox.endpoint.failures import Waiting, failure
from pgsandbox.sandbox.endpoint.statements import Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

Key = tuple[int, ...]
Row = tuple[str | None, ...]

_CALL = re.compile(
    r"\s*SELECT\s+(?:pg_catalog\.)?(?P<name>pg_(?P<try>try_)?advisory_(?P<xact>xact_)?"
    r"(?P<what>lock|unlock)(?P<shared>_shared)?(?P<all>_all)?)\s*(?P<rest>\(.*)",
    re.IGNORECASE | re.DOTALL,
)
_ALIAS = re.compile(r'\s*(?:AS\s+)?("(?:[^"]|"")+"|[A-Za-z_]\w*)?\s*;?\s*', re.IGNORECASE)
_BOOL, _VOID = 16, 2278


@dataclass(frozen=True)
class AdvisoryCall:
    """A call of one of PostgreSQL's functions for advisory locks."""

    name: str
    column: str
    """What the column of its result is called."""
    key_query: str
    """Expressions for the key, as texts."""
    is_try: bool = False
    is_shared: bool = False
    is_of_transaction: bool = False
    is_unlock: bool = False
    is_for_all: bool = False

    @property
    def mode(self) -> str:
        """The mode of the lock, as the server calls it."""
        return "ShareLock" if self.is_shared else "ExclusiveLock"


def call_of(statement: Statement) -> AdvisoryCall | None:
    """Return the call that *statement* consists of, if it does."""
    return _call_of(statement.text) if statement.names_advisory_locks else None


@lru_cache(maxsize=256)
def _call_of(text: str) -> AdvisoryCall | None:
    match = _CALL.fullmatch(text)
    found = lexer.split_arguments(match["rest"]) if match else None
    alias = _ALIAS.fullmatch(found[1]) if found else None
    if match is None or found is None or alias is None:
        return None
    arguments = _arguments(found[0])
    if len(arguments) != (0 if match["all"] else len(arguments)) or len(arguments) > 2:
        return None
    if not match["all"] and not arguments:
        return None
    kind = "int" if len(arguments) == 2 else "bigint"
    name = match["name"].lower()
    return AdvisoryCall(
        name,
        (alias[1] or name).strip('"'),
        ", ".join(f"(({each})::{kind})::text" for each in arguments) or "1",
        is_try=match["try"] is not None,
        is_shared=match["shared"] is not None,
        is_of_transaction=match["xact"] is not None,
        is_unlock=match["what"].lower() == "unlock",
        is_for_all=match["all"] is not None,
    )


def _arguments(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for kind, begin, end in lexer.tokens(text):
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(kind, 0)
        if kind == "," and depth == 0:
            parts.append(text[start:begin])
            start = end
    parts.append(text[start:])
    return [each for each in parts if each.strip()]


@dataclass(frozen=True)
class Answer:
    """The result of a call that is not sent to the server."""

    column: str
    type_oid: int
    value: str
    notice: bytes = b""

    def row(self, *, is_binary: bool = False) -> bytes:
        """Return it as one row, and the end of the statement."""
        value = "\0" if is_binary and self.type_oid == _BOOL else self.value
        described = messages.rows([(self.column, self.type_oid)], [(value,)])
        length = int.from_bytes(described[1:5], "big") + 1
        return described[length:] + messages.complete("SELECT 1")

    def described(self) -> bytes:
        """Return it with the description of its column, as a simple query is answered."""
        described = messages.rows([(self.column, self.type_oid)], [(self.value,)])
        return self.notice + described + messages.complete("SELECT 1")


@dataclass
class _Hold:
    """What one client holds of one lock: how often, by mode and by what it ends with."""

    session: dict[str, int] = field(default_factory=dict)
    transaction: dict[str, int] = field(default_factory=dict)

    def modes(self) -> set[str]:
        """Return the modes that are held."""
        held = {**self.session, **self.transaction}
        return {mode for mode, count in held.items() if count}


class AdvisoryLocks:
    """Which client of one test holds which advisory lock."""

    def __init__(self) -> None:
        self._held: dict[Key, dict[Backend, _Hold]] = {}
        self.waiting: dict[Backend, tuple[Key, AdvisoryCall]] = {}
        """What each client that waits has asked for."""

    def decide(self, backend: Backend, call: AdvisoryCall, row: Row) -> Answer | None:
        """Return the answer to *call*, or None where the server is to give it.

        Raises:
            Waiting: another client holds the lock.
            StatementFailed: each waits for the other.
        """
        if call.is_for_all:
            self.release_all(backend)
            return Answer(call.column, _VOID, "")
        key = tuple(int(each or 0) for each in row)
        if call.is_unlock:
            return self._unlock(backend, call, key)
        blockers = self._blockers(backend, call, key)
        if not blockers:
            self.waiting.pop(backend, None)
            self._take(backend, call, key)
            return None
        if call.is_try:
            return Answer(call.column, _BOOL, "f")
        if self._is_deadlock(backend, blockers):
            self.waiting.pop(backend, None)
            raise failure("40P01", "deadlock detected")
        self.waiting[backend] = key, call
        raise Waiting(key)

    def is_free_for(self, backend: Backend) -> bool:
        """Whether what *backend* waits for may be free now."""
        if backend not in self.waiting:
            return True
        key, call = self.waiting[backend]
        return not self._blockers(backend, call, key)

    def _unlock(self, backend: Backend, call: AdvisoryCall, key: Key) -> Answer | None:
        hold = self._held.get(key, {}).get(backend)
        if hold is None or not hold.session.get(call.mode):
            words = f"you don't own a lock of type {call.mode}"
            return Answer(call.column, _BOOL, "f", messages.warning("01000", words))
        hold.session[call.mode] -= 1
        self._drop_empty(key)
        return None

    def _blockers(self, backend: Backend, call: AdvisoryCall, key: Key) -> list[Backend]:
        return [
            other
            for other, hold in self._held.get(key, {}).items()
            if other is not backend and (not call.is_shared or "ExclusiveLock" in hold.modes())
        ]

    def _take(self, backend: Backend, call: AdvisoryCall, key: Key) -> None:
        hold = self._held.setdefault(key, {}).setdefault(backend, _Hold())
        counts = hold.transaction if call.is_of_transaction else hold.session
        counts[call.mode] = counts.get(call.mode, 0) + 1

    def _is_deadlock(self, backend: Backend, blockers: list[Backend]) -> bool:
        seen: set[Backend] = set()
        todo = list(blockers)
        while todo:
            other = todo.pop()
            if other is backend:
                return True
            if other not in seen and other in self.waiting:
                seen.add(other)
                key, call = self.waiting[other]
                todo.extend(self._blockers(other, call, key))
        return False

    def transaction_ended(self, backend: Backend) -> None:
        """Free what *backend* has locked for its transaction."""
        for key in [key for key, holders in self._held.items() if backend in holders]:
            self._held[key][backend].transaction.clear()
            self._drop_empty(key)

    def release_all(self, backend: Backend) -> None:
        """Free what *backend* has locked for its session, on the server, too."""
        self.waiting.pop(backend, None)
        server = backend.database.server
        for key in [key for key, holders in self._held.items() if backend in holders]:
            hold = self._held[key][backend]
            for mode, count in hold.session.items():
                suffix = "_shared" if mode == "ShareLock" else ""
                arguments = ", ".join(map(str, key))
                if server is not None and not server.is_lost:
                    for _ in range(count):
                        server.queue(f"SELECT pg_advisory_unlock{suffix}({arguments})")
            hold.session.clear()
            self._drop_empty(key)

    def _drop_empty(self, key: Key) -> None:
        holders = self._held.get(key, {})
        for backend in [each for each, hold in holders.items() if not hold.modes()]:
            del holders[backend]
        if not holders:
            self._held.pop(key, None)

    def forget(self) -> None:
        """The test is over."""
        self._held.clear()
        self.waiting.clear()
