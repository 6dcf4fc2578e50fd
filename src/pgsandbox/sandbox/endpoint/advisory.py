"""Advisory locks, which conflict between the clients of one test as they do between sessions.

All clients share one session on the server, which grants itself every lock again. So who holds what
is kept here, for calls that stand alone in their statement (``SELECT pg_advisory_lock(...)``), as
applications send them; `larger_locks` has those in larger queries. The locks are taken on the
server as well, so that other sessions see them: all of them for the session, since a client's
transaction ends before the server's does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import lexer, messages
from pgsandbox.sandbox.endpoint.failures import Waiting, failure
from pgsandbox.sandbox.endpoint.statements import Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

Key = tuple[int, ...]
Lock = tuple[Key, str]
"""A lock by its key and its mode."""
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

    def of_session(self, key: Key) -> str:
        """Return the call that takes the lock for the server's session."""
        return function_of(
            key, self.mode, "pg_try_advisory_lock" if self.is_try else "pg_advisory_lock"
        )

    def answer(self, value: str | None) -> Answer:
        """Return *value* as what the client gets."""
        return Answer(self.column, _BOOL if self.is_try else _VOID, value or "")


def function_of(key: Key, mode: str, name: str) -> str:
    """Return a call of the function *name*, of the server's session, for a lock of this mode."""
    suffix = "_shared" if mode == "ShareLock" else ""
    return f"pg_catalog.{name}{suffix}({', '.join(map(str, key))})"


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
        value = self.value
        if is_binary and self.type_oid == _BOOL:
            value = "\1" if value == "t" else "\0"
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
    transaction: list[tuple[int, str]] = field(default_factory=list)
    """How many savepoints its client had set when it took it, and the mode."""
    of_server: list[tuple[int, str]] = field(default_factory=list)
    """The same for those that the server frees by itself, when it goes back to a savepoint."""

    def modes(self) -> set[str]:
        """Return the modes that are held."""
        held = {mode for mode, count in self.session.items() if count}
        return held | {mode for _, mode in (*self.transaction, *self.of_server)}

    def on_server(self) -> list[str]:
        """Return the mode of each time that the server's session holds it for this client."""
        found = [mode for _, mode in self.transaction]
        for mode, count in self.session.items():
            found += [mode] * count
        return found


class AdvisoryLocks:
    """Which client of one test holds which advisory lock."""

    def __init__(self) -> None:
        self._held: dict[Key, dict[Backend, _Hold]] = {}
        self.waiting: dict[Backend, tuple[Key, AdvisoryCall]] = {}
        """What each client that waits has asked for."""
        self.last: tuple[Key, str, int] | None = None
        """What was counted for the call that is sent: which lock, its mode, and how often."""
        self._left: set[Lock] = set()
        """What the server still holds for transactions of clients that have ended."""
        self._standing: list[dict[Key, dict[Backend, dict[str, int]]]] = []
        """What clients held for their sessions when a wider fixture was done, the widest first."""

    def decide(self, backend: Backend, call: AdvisoryCall, row: Row) -> Answer | Key | None:
        """Return the answer to *call*, or None where the server is to give it.

        Of a lock for a transaction that is free, return its key: see `take_for_transaction`.

        Raises:
            Waiting: another client holds the lock.
            StatementFailed: each waits for the other.
        """
        if call.is_for_all:
            self.release_all(backend)
            return Answer(call.column, _VOID, "")
        self.last = None
        if None in row:  # every one of these functions is strict
            self.waiting.pop(backend, None)
            return None
        key = tuple(int(each or 0) for each in row)
        if call.is_unlock:
            return self._unlock(backend, call, key)
        blockers = self._blockers(backend, call, key)
        if not blockers:
            self.waiting.pop(backend, None)
            if call.is_of_transaction:
                return key
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
        self.last = key, call.mode, -1
        self._drop_empty(key)
        return None

    def _blockers(self, backend: Backend, call: AdvisoryCall, key: Key) -> list[Backend]:
        return [
            other
            for other, hold in self._held.get(key, {}).items()
            if other is not backend and (not call.is_shared or "ExclusiveLock" in hold.modes())
        ]

    def _take(self, backend: Backend, call: AdvisoryCall, key: Key) -> None:
        counts = self._hold(backend, key).session
        counts[call.mode] = counts.get(call.mode, 0) + 1
        self.last = key, call.mode, 1

    def call_failed(self, backend: Backend) -> None:
        """The call that the server was to answer has failed, so it counts for nothing."""
        if self.last is not None:
            key, mode, count = self.last
            self.last = None
            counts = self._hold(backend, key).session
            counts[mode] = max(0, counts.get(mode, 0) - count)
            self._drop_empty(key)

    def _hold(self, backend: Backend, key: Key) -> _Hold:
        return self._held.setdefault(key, {}).setdefault(backend, _Hold())

    def take_for_transaction(
        self, backend: Backend, call: AdvisoryCall, key: Key, value: str | None
    ) -> Answer:
        """Return the answer to *call*, whose lock the server's session was given, or not."""
        if value != "f":
            depth = backend.session.depth()
            self._hold(backend, key).transaction.append((depth, call.mode))
        return call.answer(value)

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
        if self._held:
            self.rolled_back(backend, 0)

    def rolled_back(self, backend: Backend, depth: int) -> None:
        """Free what *backend* has locked for its transaction since it had *depth* savepoints."""
        server = backend.database.server
        for key, hold in self._of(backend):
            undone = [mode for since, mode in hold.transaction if since >= depth]
            hold.transaction = [each for each in hold.transaction if each[0] < depth]
            self._left |= {(key, mode) for since, mode in hold.of_server if since >= depth}
            hold.of_server = [each for each in hold.of_server if each[0] < depth]
            if server is not None and not server.is_lost:
                for mode in undone:
                    server.queue(f"SELECT {function_of(key, mode, 'pg_advisory_unlock')}")
            self._drop_empty(key)

    def released(self, backend: Backend, depth: int) -> None:
        """*backend* has *depth* savepoints left."""
        for _, hold in self._of(backend):
            hold.transaction = [(min(since, depth), mode) for since, mode in hold.transaction]
            hold.of_server = [(min(since, depth), mode) for since, mode in hold.of_server]

    def _of(self, backend: Backend) -> list[tuple[Key, _Hold]]:
        return [(key, held[backend]) for key, held in self._held.items() if backend in held]

    def release_all(self, backend: Backend) -> None:
        """Free what *backend* has locked for its session, on the server, too."""
        self.waiting.pop(backend, None)
        server = backend.database.server
        for key, hold in self._of(backend):
            for mode, count in hold.session.items():
                if server is not None and not server.is_lost:
                    for _ in range(count):
                        server.queue(f"SELECT {function_of(key, mode, 'pg_advisory_unlock')}")
            hold.session.clear()
            self._drop_empty(key)

    def end_transactions(self) -> None:
        """The test is over, and with it every transaction."""
        for backend in {each for holders in self._held.values() for each in holders}:
            self.transaction_ended(backend)

    # -- of larger queries --------------------------------------------------------------------

    def of_others(self, backend: Backend) -> list[tuple[Key, str, Backend]]:
        """Return each lock that the server's session holds for other clients."""
        return [
            (key, mode, other)
            for key, holders in self._held.items()
            for other, hold in holders.items()
            if other is not backend
            for mode in hold.on_server()
        ]

    def reconcile(
        self, backend: Backend, found: set[Lock], of_session: Callable[[set[Lock]], set[Lock]]
    ) -> None:
        """Let *backend* hold what was *found* on the server while nobody else held anything.

        Of the new ones *of_session* returns those of its session; the others are its transaction's.
        """
        mine = {(key, mode) for key, hold in self._of(backend) for mode in hold.modes()}
        self._left &= found
        new = found - mine - self._left
        its_own = of_session(new)
        for key, mode in new:
            hold = self._hold(backend, key)
            if (key, mode) in its_own:
                hold.session[mode] = 1
            else:
                hold.of_server.append((backend.session.depth(), mode))
        for key, mode in mine - found:
            self._held[key][backend].session.pop(mode, None)
            self._drop_empty(key)

    def _drop_empty(self, key: Key) -> None:
        holders = self._held.get(key, {})
        for backend in [each for each, hold in holders.items() if not hold.modes()]:
            del holders[backend]
        if not holders:
            self._held.pop(key, None)

    def listed(self) -> list[dict[str, object]]:
        """Return the locks of all clients as lines of pg_locks."""
        return [
            _line(key, mode, backend, is_granted=True)
            for key, holders in self._held.items()
            for backend, hold in holders.items()
            for mode in sorted(hold.modes())
        ] + [
            _line(key, call.mode, backend, is_granted=False)
            for backend, (key, call) in self.waiting.items()
        ]

    # -- of fixtures of wider scopes ----------------------------------------------------------

    def freeze(self) -> None:
        """Let stand what the fixture that is done has locked for the sessions of its clients."""
        self._standing.append(
            {
                key: {backend: dict(hold.session) for backend, hold in holders.items()}
                for key, holders in self._held.items()
            }
        )

    def resume(self) -> None:
        """The end of the narrowest fixture that stands has begun: it may free its locks."""
        self._standing.pop()

    def lose(self) -> None:
        """Nothing stands any more."""
        self._standing.clear()

    def forget(self) -> None:
        """The test is over. What it has freed of a fixture's locks is free, as on the server."""
        held, self._held = self._held, {}
        for key, holders in self._standing[-1].items() if self._standing else ():
            for backend, before in holders.items():
                now = held.get(key, {}).get(backend, _Hold()).session
                left = {mode: min(count, now.get(mode, 0)) for mode, count in before.items()}
                self._hold(backend, key).session = left
            self._drop_empty(key)
        self._left.clear()
        self.waiting.clear()


def _line(key: Key, mode: str, backend: Backend, *, is_granted: bool) -> dict[str, object]:
    """Return a lock as pg_locks shows it (PostgreSQL manual, 54.12)."""
    high, low = (key[0] >> 32, key[0]) if len(key) == 1 else key
    return {
        "locktype": "advisory",
        "classid": high & 0xFFFFFFFF,
        "objid": low & 0xFFFFFFFF,
        "objsubid": len(key),
        "virtualtransaction": f"{backend.client.number}/1",
        "pid": backend.client.pid,
        "mode": mode,
        "granted": is_granted,
        "fastpath": False,
    }
