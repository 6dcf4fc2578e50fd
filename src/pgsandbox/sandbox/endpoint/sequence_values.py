"""What sequences gave to each client: lastval() and currval(), which belong to one session.

All clients share one session on the server. From the first statement on that asks, in any test of
the run, what the session knows is written down whenever another client is about to take numbers; so
each client finds its own. A test that never asks pays nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint.failures import failure
from pgsandbox.sandbox.endpoint.settings import quoted
from pgsandbox.sandbox.endpoint.statements import Statement

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend
    from pgsandbox.sandbox.endpoint.server import ServerConnection

_LASTVAL = re.compile(r"\blastval\s*\(", re.IGNORECASE)
_CURRVAL = re.compile(r"\bcurrval\s*\(\s*'((?:[^']|'')+)'", re.IGNORECASE)
# Neither function can be asked without an error whether it has an answer.
_LOOK = """DO $pgsandbox$
DECLARE one record; found jsonb := '{}';
BEGIN
    FOR one IN SELECT seqrelid FROM pg_catalog.pg_sequence LOOP
        BEGIN
            found := found || pg_catalog.jsonb_build_object(
                one.seqrelid::text, pg_catalog.currval(one.seqrelid::regclass));
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    BEGIN
        found := found || pg_catalog.jsonb_build_object('last', pg_catalog.lastval());
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    PERFORM pg_catalog.set_config('pgsandbox.sequences', found::text, false);
END $pgsandbox$; SELECT pg_catalog.current_setting('pgsandbox.sequences')"""


@dataclass
class _Values:
    """What one session knows: currval by the sequence's oid, and lastval."""

    current: dict[str, int] = field(default_factory=dict)
    last: int | None = None


class SequenceValues:
    """Who took which numbers last."""

    def __init__(self) -> None:
        self.is_asked_for = False
        """Whether any statement of the run has asked for them."""
        self._user: Backend | None = None
        """Who may have taken numbers since the session was looked at last."""
        self._users: set[Backend] = set()
        """All who may have, before anybody asked."""
        self._is_certain = False
        """Whether the last user has taken numbers for certain."""
        self._lost: set[Backend] = set()
        """Those of whom nobody knows any more what they were given."""
        self._seen = _Values()
        self._of: dict[Backend, _Values] = {}

    def taken(
        self, backend: Backend, server: ServerConnection, *, is_certain: bool = False
    ) -> None:
        """*backend* is about to take numbers; perhaps, unless that *is_certain*."""
        self._is_certain = is_certain or (self._is_certain and self._user is backend)
        if self._user is not backend:
            if self.is_asked_for:
                self._look(server)
            self._users.add(backend)
            self._user = backend

    def tell(self, backend: Backend, server: ServerConnection, statement: Statement) -> bool:
        """Let *statement* find what *backend* was given; return False if nobody knows it any more.

        Raises:
            StatementFailed: it was given nothing.
        """
        if not self.is_asked_for:
            self.is_asked_for = True
            if len(self._users) > 1 and self._is_certain and self._user is backend:
                self._lost = self._users - {backend}  # what the session has is what it took last
            elif len(self._users) > 1:
                self._seen, self._user = self._now(server), None
                self._lost = set(self._users)
        self._look(server)
        return backend not in self._lost and self._answer(backend, server, statement)

    def _answer(self, backend: Backend, server: ServerConnection, statement: Statement) -> bool:
        mine = self._of.get(backend, _Values())
        if mine == self._seen:
            server.queue(
                "SELECT set_config('pgsandbox.lastval', '', false), "
                "set_config('pgsandbox.currval', '', false)"
            )
            return True
        if mine.last is None and _LASTVAL.search(statement.bare):
            raise failure("55000", "lastval is not yet defined in this session")
        for name in _CURRVAL.findall(statement.text):
            look = f"SELECT oid, relname FROM pg_class WHERE oid = to_regclass('{name}')"  # noqa: S608
            for oid, sequence in server.rows(look):
                if oid not in mine.current:
                    words = f'currval of sequence "{sequence}" is not yet defined in this session'
                    raise failure("55000", words)
        values = {"lastval": str(mine.last or ""), "currval": json.dumps(mine.current)}
        calls = [
            f"set_config('pgsandbox.{name}', {quoted(value)}, false)"
            for name, value in values.items()
        ]
        server.queue(f"SELECT {', '.join(calls)}")
        return True

    def _look(self, server: ServerConnection) -> None:
        """See what has changed since: it is what the last user was given."""
        user = self._user
        if user is None:
            return
        now, before = self._now(server), self._seen
        changed = {
            key: value for key, value in now.current.items() if before.current.get(key) != value
        }
        mine = self._of.setdefault(user, _Values())
        mine.current |= changed
        if now.last is not None and (now.last != before.last or now.last in changed.values()):
            mine.last = now.last
        self._seen = now

    def _now(self, server: ServerConnection) -> _Values:
        found: dict[str, int] = json.loads(server.rows(_LOOK)[0][0] or "{}")
        last = found.pop("last", None)
        return _Values(found, last)

    def discard(self, backend: Backend, server: ServerConnection) -> None:
        """*backend* forgets what it was given."""
        if self.is_asked_for:
            self._look(server)
        self._of.pop(backend, None)
        self._lost.discard(backend)
        self._users.discard(backend)

    def forget(self) -> None:
        """The test is over; what the session knew is discarded with it."""
        self._user, self._seen, self._is_certain = None, _Values(), False
        self._users.clear()
        self._of.clear()
        self._lost.clear()
