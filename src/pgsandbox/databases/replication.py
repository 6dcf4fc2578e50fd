"""What replication leaves in a database, and DROP DATABASE refuses: subscriptions and slots in use.

``WITH (FORCE)`` ends sessions, but it looks for these first (``dropdb`` in PostgreSQL's
dbcommands.c).
"""

from __future__ import annotations

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pgsandbox.databases.admin import proven
from pgsandbox.databases.limits import DEFAULT_LIMITS, Limits, limited

# pg_subscription is shared; its connection strings are for superusers only, but not the rest.
_SUBSCRIPTIONS = """
    select s.subname from pg_catalog.pg_subscription s
      join pg_catalog.pg_database d on d.oid = s.subdbid
     where d.datname = %s::text
"""
_SLOTS = """
    select pg_catalog.pg_terminate_backend(active_pid, 1000)
      from pg_catalog.pg_replication_slots
     where database = %s::text and active_pid is not null
"""


def drop_subscriptions(connection: Connection, name: str, limits: Limits = DEFAULT_LIMITS) -> None:
    """Drop the subscriptions of our database *name*, to which *connection* goes.

    The publisher is not told: its slot stays, since it may be gone, or be another test's. Raises
    NotATestDatabase if the database is not ours.
    """
    if proven(connection, name, limits) is None:
        return
    with limited(connection, "drop the subscriptions of", name, limits) as cursor:
        cursor.execute(f"{_SUBSCRIPTIONS} and d.datname = current_database()", (name,))
        for (found,) in cursor.fetchall():
            for statement in (
                "ALTER SUBSCRIPTION {} DISABLE",
                "ALTER SUBSCRIPTION {} SET (slot_name = NONE)",
                "DROP SUBSCRIPTION {}",
            ):
                cursor.execute(sql.SQL(statement).format(sql.Identifier(found)))


def end_slots(connection: Connection, name: str, limits: Limits = DEFAULT_LIMITS) -> None:
    """End the sessions that read from logical slots of our database *name*; DROP does the rest.

    Raises NotATestDatabase if it is not ours.
    """
    if proven(connection, name, limits) is None:
        return
    with limited(connection, "end replication from", name, limits) as cursor:
        cursor.execute(_SLOTS, (name,))
