"""The audit log: events written in a caller's transaction, or by an engine of their own.

A service that changes something calls :func:`write_event` with its session: the event stands or
falls with the change. What is no part of a change, a hook that arrived or a notification that was
sent, goes through an :class:`EventWriter` without a session: it has a small engine of its own and
commits by itself, so that the event stays whatever becomes of the transaction around it, and is
written even when all connections of the application are busy.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from claude_headspace.clock import now
from claude_headspace.domain.payloads import Payload, validated_payload
from claude_headspace.models import Event

POOL_SIZE = 5
"""Connections of a writer's own engine, and no more under load."""
ATTEMPTS = 3
"""How often an event is tried before the lost connection is the caller's problem."""
PAUSE = 0.05
"""Seconds before the second attempt; twice as long before each further one."""

# PostgreSQL manual, appendix A: the server ends the session, or does not take sessions yet.
_SERVER_LEFT = frozenset({"57P01", "57P02", "57P03"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewEvent:
    """An event to be written."""

    event_type: str
    """One of :class:`~claude_headspace.domain.payloads.EventType`."""
    payload: Payload | None = None
    project_id: int | None = None
    agent_id: int | None = None
    task_id: int | None = None
    turn_id: int | None = None
    timestamp: datetime = field(default_factory=now)


def write_event(session: Session, event: NewEvent) -> Event:
    """Write *event* in the transaction of *session*, and return its row.

    :raises Invalid: if the payload is not one of the event's type; nothing is written then.
    """
    row = Event(**_values(event))
    session.add(row)
    session.flush()
    return row


class EventWriter:
    """Writes events through an engine of its own, made when the first event comes.

    It may be used by several threads at once.
    """

    def __init__(self, url: str | URL) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._making = Lock()

    @property
    def engine(self) -> Engine:
        """The writer's own engine."""
        with self._making:
            if self._engine is None:
                self._engine = create_engine(
                    self._url,
                    pool_size=POOL_SIZE,
                    max_overflow=0,
                    pool_pre_ping=True,
                    pool_recycle=3600,
                    connect_args={"connect_timeout": 5},
                )
            return self._engine

    def write(self, event: NewEvent, session: Session | None = None) -> int:
        """Write *event* and return its id.

        With a *session* it is written there, and commits or not with it. Without one it is
        committed when this returns. After a lost connection that is tried again, three times in
        all, and the event is still written once: a COMMIT that got no answer may have succeeded, so
        the next attempt inserts the same id and takes a conflict for success.

        :raises Invalid: if the payload is not one of the event's type; nothing is written then.
        """
        if session is not None:
            return write_event(session, event).id
        return self._write_alone(_values(event))

    def dispose(self) -> None:
        """Close the connections; the next event makes new ones."""
        with self._making:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _write_alone(self, values: dict[str, object]) -> int:
        attempt = 1
        while True:
            try:
                with self.engine.connect() as connection:
                    event_id = _insert(connection, values)
                    values = {**values, "id": event_id}
                    connection.commit()
                    return event_id
            except DBAPIError as error:
                if attempt == ATTEMPTS or not _is_lost(error):
                    raise
                _log.warning("event not written at attempt %d: %s", attempt, error.orig)
            time.sleep(PAUSE * 2 ** (attempt - 1))
            attempt += 1


def _values(event: NewEvent) -> dict[str, object]:
    return {
        "event_type": str(event.event_type),
        "payload": validated_payload(event.event_type, event.payload),
        "project_id": event.project_id,
        "agent_id": event.agent_id,
        "task_id": event.task_id,
        "turn_id": event.turn_id,
        "timestamp": event.timestamp,
    }


def _insert(connection: Connection, values: dict[str, object]) -> int:
    statement = insert(Event).values(values)
    if "id" not in values:
        return connection.execute(statement.returning(Event.id)).scalar_one()
    connection.execute(statement.on_conflict_do_nothing(index_elements=[Event.id]))
    return int(str(values["id"]))


def _is_lost(error: DBAPIError) -> bool:
    """Whether the server went away, rather than refused the statement."""
    if error.connection_invalidated:
        return True
    # psycopg2 has no code for what libpq itself found, such as a refused connection.
    code = getattr(error.orig, "pgcode", None)
    if code is None:
        return isinstance(error, OperationalError)
    return str(code).startswith("08") or code in _SERVER_LEFT
