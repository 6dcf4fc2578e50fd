"""What the test process asks of the running test: its statements, and what became of each.

Everything here is told as JSON can hold it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.server import ServerError, ServerLost
from pgsandbox.sandbox.endpoint.sessions import ClientSession, Executed
from pgsandbox.sandbox.endpoint.settings import quoted

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.database import TestDatabaseSession
    from pgsandbox.sandbox.endpoint.transaction import TestTransaction

_LATEST = 400
"""Statements that are told of one test."""
_DEFINITION = (
    "SELECT conrelid::regclass::text, pg_get_constraintdef(oid), "
    "array_to_string(ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = conrelid "
    "AND attnum = ANY (conkey)), ',') "
    "FROM pg_constraint WHERE conname = {name} AND conrelid = to_regclass({table})"
)
_INDEX = "SELECT {table}, pg_get_indexdef(to_regclass({name})), ''"
_COLUMNS = (
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass({table}) AND attnum > 0 "
    "AND NOT attisdropped ORDER BY attnum"
)


def seen(database: TestDatabaseSession) -> dict[str, Any] | None:
    """Return what is not committed, and what was read of it by others; None if nothing is."""
    transaction = database.transaction
    if transaction is None or transaction.is_broken or not database.looks_for_uncommitted:
        return None
    try:
        held = transaction.held()
    except (ServerError, ServerLost):
        return None
    reads = transaction.dirty_reads.found
    if not held and not reads:
        return None
    transaction.ledger.watched = [(each.session, each.transaction) for each in held]
    now = time.monotonic()
    return {
        "held": [
            {
                "key": key_of(each.session, each.transaction),
                "connection": each.session.label,
                "token": each.session.token,
                "writes": _all(each.writes),
                "idle": now - max(one.at for one in _of(transaction, each.session)),
            }
            for each in held
        ],
        "reads": [
            {
                "key": key_of(each.writer, each.transaction),
                "is_committed": _is_committed(each.writer, each.transaction),
                "connection": each.writer.label,
                "token": each.writer.token,
                "table": each.table,
                "writes": _all(each.writes),
                "read": _one(each.read),
                "reader": each.read.connection,
                "reader_token": each.read.session.token if each.read.session else "",
                "is_by_test": each.read.session is not None and each.read.session.is_arranging,
            }
            for each in reads
        ],
    }


def committed(transaction: TestTransaction | None) -> list[str]:
    """Return which of the transactions that `seen` told of were committed since."""
    if transaction is None:
        return []
    return [
        key_of(session, number)
        for session, number in transaction.ledger.watched
        if _is_committed(session, number)
    ]


def told(database: TestDatabaseSession, *, may_ask: bool) -> dict[str, Any] | None:
    """Return the latest statements of the running test, what was refused, and dirty reads.

    Unless it *may_ask* the server, which works for somebody, it tells what is known here.
    """
    transaction = database.transaction
    if transaction is None:
        return None
    latest = transaction.ledger.executed[-_LATEST:]
    refused = [each for each in latest if each.error]
    return {
        "left_out": len(transaction.ledger.executed) - len(latest),
        "statements": [
            {
                **_one(each),
                "connection": each.connection,
                "token": each.session.token if each.session else "",
                "transaction": each.transaction,
                "outcome": _outcome(each),
                "is_undone": each.is_undone,
                "is_arranging": each.session is not None and each.session.is_arranging,
                "error": messages.fields_of(each.error) if each.error else None,
            }
            for each in latest
        ],
        "reads": [
            {
                "reader": each.read.connection,
                "writer": each.writer.label,
                "table": each.table,
                "seen": each.seen,
                "unseen": each.unseen,
            }
            for each in transaction.dirty_reads.found
        ],
        "definitions": _definitions(transaction, refused[-_SHOWN:]) if may_ask else {},
        **(_surroundings(transaction) if may_ask else _NOTHING),
    }


_SHOWN = 3
"""Refusals whose constraints are looked up."""


def key_of(session: ClientSession, number: int) -> str:
    """Return what one transaction is called."""
    return f"{session.label}: {number}"


def _of(transaction: TestTransaction, session: ClientSession) -> list[Executed]:
    return [each for each in transaction.ledger.executed if each.session is session]


def _all(sent: Iterable[Executed]) -> list[dict[str, Any]]:
    return [_one(each) for each in sent]


def _one(sent: Executed) -> dict[str, Any]:
    return {"text": sent.text, "at": sent.at, "tag": sent.tag.decode("utf-8", "replace")}


def _is_committed(session: ClientSession, number: int) -> bool:
    return number < len(session.ends) and session.ends[number]


def _outcome(sent: Executed) -> str:
    session = sent.session
    if session is None or sent.transaction >= len(session.ends):
        return "open"
    return "committed" if session.ends[sent.transaction] else "rolled back"


def _definitions(transaction: TestTransaction, refused: list[Executed]) -> dict[str, Any]:
    """Return for each constraint that refused something its definition, and the table's columns."""
    found: dict[str, Any] = {}
    server = transaction.server
    if transaction.is_broken or server.has_failed:
        return found
    for each in refused:
        fields = messages.fields_of(each.error)
        schema, table, name = fields.get("s", ""), fields.get("t", ""), fields.get("n", "")
        if not table or schema == "pgsandbox":
            continue
        of_table = quoted(f'"{schema}"."{table}"')
        server.queue(f"SAVEPOINT {_LOOK}")
        try:
            rows = server.rows(_DEFINITION.format(name=quoted(name), table=of_table))
            if not rows and name:
                of_index = quoted(f'"{schema}"."{name}"')
                rows = server.rows(_INDEX.format(table=quoted(table), name=of_index))
            columns = [row[0] for row in server.rows(_COLUMNS.format(table=of_table))]
        except (ServerError, ServerLost):
            continue
        finally:
            server.queue(f"ROLLBACK TO SAVEPOINT {_LOOK}; RELEASE SAVEPOINT {_LOOK}")
        (about,) = rows or [(table, "", "")]
        found[f"{schema}.{table}.{name}"] = {
            "table": about[0],
            "definition": about[1] or "",
            "of": (about[2] or "").split(",") if about[2] else [],
            "columns": columns,
        }
    return found


def _surroundings(transaction: TestTransaction) -> dict[str, Any]:
    """Return what hints ask for: the time that stands still, and what sequences gave last."""
    server = transaction.server
    if transaction.is_broken or server.has_failed:
        return _NOTHING
    try:
        ((now,),) = server.rows("SELECT now()::text")
        given = server.rows(
            "SELECT sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL"
        )
    except (ServerError, ServerLost):
        return _NOTHING
    return {"now": now, "sequences": {name: int(value or 0) for name, value in given}}


_LOOK = "pgsandbox_told"
_NOTHING: dict[str, Any] = {"now": None, "sequences": {}}
