"""What the tests of a run have done to the schema, as far as only the endpoint sees it.

It keeps one text of each statement, values aside; what the server refused, by the fields of its
errors (PostgreSQL manual, 54.8); and, from the server's own statistics of the transaction
(``pg_stat_xact_*``, manual 27.2), which tables were written and scanned, also by triggers and
cascades, and which functions ran. What that says of the schema is worked out elsewhere, once.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.server import Outcome, ServerConnection, ServerError
from pgsandbox.sandbox.endpoint.sessions import ClientSession
from pgsandbox.sandbox.endpoint.statements import CONTROL, Kind, Statement
from pgsandbox.sandbox.shapes import shape_of

_REFUSALS = frozenset({"23502", "23503", "23505", "23514", "23P01"})
"""The SQLSTATEs of constraints (manual, Appendix A)."""
_CONTROL_OF_SESSIONS = frozenset({Kind.MODE, Kind.SNAPSHOT, Kind.LISTEN, Kind.UNLISTEN})
_LITERAL = re.compile(r"'([^']*)'")
_ENUMS = (
    "SELECT n.nspname, c.relname, a.attname, t.oid::regtype::text, "
    "array_to_string(ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid), E'\\n') "
    "FROM pg_type t LEFT JOIN pg_attribute a ON a.atttypid = t.oid AND NOT a.attisdropped "
    "LEFT JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') "
    "LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.typtype = 'e' AND t.oid >= 16384"
)
_ACTIONS = (
    "SELECT n.nspname, c.relname, k.conname, k.conrelid, k.confrelid, k.confdeltype, k.confupdtype "
    "FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f' AND k.conparentid = 0 "
    "AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))"
)
_COUNTERS = (
    "SELECT n.nspname, c.relname, pg_stat_get_xact_tuples_inserted(c.oid), "
    "pg_stat_get_xact_tuples_updated(c.oid), pg_stat_get_xact_tuples_deleted(c.oid), "
    "pg_stat_get_xact_numscans(c.oid) + pg_stat_get_xact_tuples_returned(c.oid) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'm', 'i') AND c.oid >= 16384 AND c.relpersistence <> 't' "
    "AND n.nspname NOT LIKE 'pg\\_%'"
)
_CALLS = (
    "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.oid >= 16384 "
    "AND pg_stat_get_xact_function_calls(p.oid) > 0"
)
_DELETES = re.compile(r"\b(?:delete|merge|truncate)\b", re.IGNORECASE)
_UPDATES = re.compile(r"\b(?:update|merge)\b", re.IGNORECASE)
_CHANGES = {"c": "deleted", "n": "updated", "d": "updated"}
"""What an action does to the rows that refer: CASCADE, SET NULL, SET DEFAULT."""


class Unobserved:
    """Remembers nothing, where nobody measures the coverage of the schema."""

    looks = False
    """Whether it has to be told of statements."""

    def performing(
        self,
        server: ServerConnection,
        session: ClientSession,
        statement: Statement,
        send: Callable[[], Outcome],
    ) -> Outcome:
        """Let *send* run *statement*."""
        return send()

    def refused(self, body: bytes) -> None:
        """Hear an ErrorResponse."""

    def look(self, server: ServerConnection) -> None:
        """The transaction is about to be rolled back."""


class Observation(Unobserved):
    """Collects what tests do, until it is taken."""

    looks = True

    def __init__(self, server: ServerConnection) -> None:
        with contextlib.suppress(ServerError):  # a role that may not; calls are unknown then
            server.rows("SET track_functions = 'pl'")
        self._labels: set[str] = set()
        self._enum_columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for schema, table, column, kind, labels in server.rows(_ENUMS):
            self._labels.update((labels or "").split("\n"))
            if schema and table and column:
                found = self._enum_columns.setdefault((schema, table), [])
                found.append((column, kind or ""))
        self._actions = [tuple(str(each) for each in row) for row in server.rows(_ACTIONS)]
        self._known: dict[str, int] = {}
        """The statements that were taken, with who sent them."""
        self._new: dict[str, tuple[str, int]] = {}
        self._values: set[tuple[str, int, str]] = set()
        self._refused: set[tuple[str, ...]] = set()
        self._counted: dict[str, set[tuple[str, str]]] = {}
        self._calls: set[str] = set()
        self._fired: set[tuple[str, ...]] = set()
        self._labels_seen: set[tuple[str, str]] = set()

    def take(self) -> dict[str, Any]:
        """Return what is new since it was asked last."""
        taken = {
            "statements": [[text, by] for text, by in self._new.values()],
            "values": sorted(self._values),
            "refused": sorted(self._refused),
            "counted": {what: sorted(tables) for what, tables in self._counted.items()},
            "calls": sorted(self._calls),
            "fired": sorted(self._fired),
            "labels": sorted(self._labels_seen),
        }
        self._known.update({key: by for key, (_, by) in self._new.items()})
        self._new.clear()
        self._values.clear()
        return taken

    # -- while a test runs --------------------------------------------------------------------

    def performing(
        self,
        server: ServerConnection,
        session: ClientSession,
        statement: Statement,
        send: Callable[[], Outcome],
    ) -> Outcome:
        """Let *send* run *statement*, and remember what came of it."""
        look = self._around(server, statement)
        outcome = send()
        if outcome.error is not None:
            self.refused(outcome.error)
        elif outcome.copy_in is None:
            self._sent(statement, is_arranging=session.is_arranging)
            if look is not None and server.is_in_transaction:
                look()
        return outcome

    def _sent(self, statement: Statement, *, is_arranging: bool) -> None:
        """Remember a statement that succeeded."""
        if statement.kind in CONTROL or statement.kind in _CONTROL_OF_SESSIONS:
            return
        by = 2 if is_arranging else 1
        key = self._key(statement.text)
        known = self._known.get(key, 0) | self._new.get(key, ("", 0))[1]
        if known | by != known:
            self._new[key] = (statement.text, known | by)

    def _key(self, text: str) -> str:
        """Return its shape, with the enum values that stand in it."""
        labels = self._labels.intersection(_LITERAL.findall(text)) if self._labels else ()
        return f"{shape_of(text)} {' '.join(sorted(labels))}" if labels else shape_of(text)

    def bound(self, statement: Statement, parameters: bytes) -> None:
        """Remember the enum values among the parameters of a Bind message."""
        if not self._labels:
            return
        for number, value in enumerate(_parameters(parameters)):
            if value is not None and len(value) < 64 and value.isascii():
                text = value.decode("ascii")
                if text in self._labels:
                    self._values.add((statement.text, number, text))

    def refused(self, body: bytes) -> None:
        """Remember what an ErrorResponse says of a constraint."""
        fields = messages.fields_of(body)
        if fields.get("C") in _REFUSALS:
            names = (fields.get(each, "") for each in ("C", "s", "t", "c", "n"))
            self._refused.add(tuple(names))

    def _around(self, server: ServerConnection, statement: Statement) -> Callable[[], None] | None:
        """Look before *statement*, and return what looks after it, if actions may come of it."""
        if statement.kind is not Kind.WRITE or not self._actions:
            return None
        wanted = [each for each in self._actions if _may_cause(each, statement.text)]
        if not wanted:
            return None
        before = _changes(server, wanted)

        def after() -> None:
            for action, old, new in zip(wanted, before, _changes(server, wanted), strict=True):
                self._compare(action, old, new)

        return after

    def _compare(self, action: tuple[str, ...], old: tuple[int, ...], new: tuple[int, ...]) -> None:
        """Take an action for fired if its rows changed with those that they refer to."""
        *constraint, child, parent, on_delete, on_update = action
        if child == parent:
            return  # whose own deletion it was can't be told
        deleted, updated, child_deleted, child_updated = (
            n - o for o, n in zip(old, new, strict=True)
        )
        by_kind = {"deleted": child_deleted, "updated": child_updated}
        if on_delete in _CHANGES and deleted and by_kind[_CHANGES[on_delete]]:
            self._fired.add((*constraint, "delete"))
        if on_update in _CHANGES and updated and child_updated:
            self._fired.add((*constraint, "update"))

    # -- at its end ---------------------------------------------------------------------------

    def look(self, server: ServerConnection) -> None:
        """Read the transaction's own statistics, and the enum values in tables that it wrote."""
        if server.has_failed or server.is_lost:
            return
        with contextlib.suppress(ServerError):
            self._look(server)

    def _look(self, server: ServerConnection) -> None:
        written = set()
        for schema, table, inserted, updated, deleted, scanned in server.rows(_COUNTERS):
            name = (str(schema), str(table))
            counters = {"inserted": inserted, "updated": updated, "deleted": deleted}
            for what, number in {**counters, "scanned": scanned}.items():
                if int(number or 0) > 0:
                    self._counted.setdefault(what, set()).add(name)
            if int(inserted or 0) + int(updated or 0):
                written.add(name)
        self._calls.update(str(name) for (name,) in server.rows(_CALLS))
        queries = [
            f"SELECT DISTINCT '{_quoted(kind)}', {_identifier(column)}::text "  # noqa: S608 - the catalog's names, quoted
            f"FROM ONLY {_identifier(schema)}.{_identifier(table)}"
            for schema, table in written
            for column, kind in self._enum_columns.get((schema, table), ())
        ]
        if not queries:
            return
        server.queue("SAVEPOINT pgsandbox_look")
        try:
            found = server.rows(" UNION ALL ".join(queries))
            self._labels_seen.update((str(kind), label) for kind, label in found if label)
        except ServerError:
            server.queue("ROLLBACK TO SAVEPOINT pgsandbox_look")
            server.flush()


def _may_cause(action: tuple[str, ...], text: str) -> bool:
    on_delete, on_update = action[-2] in _CHANGES, action[-1] in _CHANGES
    return bool((on_delete and _DELETES.search(text)) or (on_update and _UPDATES.search(text)))


def _changes(server: ServerConnection, actions: list[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """Return for each action: rows deleted and updated of its parent, and of its child."""
    calls = [
        f"pg_stat_get_xact_tuples_{what}({table}::oid)"
        for *_, child, parent, _, _ in actions
        for table in (parent, child)
        for what in ("deleted", "updated")
    ]
    (row,) = server.rows(f"SELECT {', '.join(calls)}")
    numbers = [int(each or 0) for each in row]
    return [tuple(numbers[place : place + 4]) for place in range(0, len(numbers), 4)]


def _parameters(bound: bytes) -> Iterator[bytes | None]:
    """Yield the parameters of what follows the names in a Bind message."""
    try:
        (formats,) = struct.unpack_from("!h", bound)
        position = 2 + 2 * formats
        (count,) = struct.unpack_from("!h", bound, position)
        position += 2
        for _ in range(count):
            (length,) = struct.unpack_from("!i", bound, position)
            position += 4
            yield bound[position : position + length] if length >= 0 else None
            position += max(length, 0)
    except struct.error:
        return  # the server says what is wrong with it


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return text.replace("'", "''")
