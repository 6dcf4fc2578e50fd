"""The behaviours that differ silently and should not, each with what is wrong.

The list may only become shorter: a behaviour that is not on it must not differ, and one that no
longer differs has to leave it.
"""

from __future__ import annotations

_SERIES = "an advisory lock's key that is a column or a parameter"
_NOTIFY = "a notification that is no plain statement"
_PREPARED = "PREPARE is seen by other connections"

FAULTS: dict[str, str] = {
    "cancelling.by_pid": "pg_backend_pid() is not the pid that the connection was told",
    "cursors.named_without_hold_after_commit[psycopg]": "a cursor outlives its transaction",
    "cursors.refcursors": "a function's cursor outlives its transaction",
    "cursors.same_name_on_two_connections": "named cursors collide",
    "definitions.currval_and_lastval": "currval() and lastval() are another connection's",
    "definitions.enum_values_in_their_transaction": "a committed enum value is unsafe to use",
    "engines.listeners_of_the_application": "application_name of a do_connect listener is lost",
    "limits.snapshots_are_exported": "refused by the server, and not by name",
    "limits.who_is_connected": "pg_stat_activity has one connection",
    "locks.in_a_larger_query": _SERIES,
    "locks.in_the_catalog": "pg_locks has one line where two connections share a lock",
    "locks.of_a_transaction_to_a_savepoint": "ROLLBACK TO frees no advisory lock",
    "locks.of_two_tasks[asyncpg]": _SERIES,
    "locks.with_parameters[psycopg]": _SERIES,
    "notifications.by_a_trigger": _NOTIFY,
    "notifications.by_the_function": _NOTIFY,
    "notifications.listening_in_a_transaction": "LISTEN in a transaction is not listed after it",
    "prepared.listed_for_their_connection": _PREPARED,
    "prepared.names_of_asyncpg_collide": _PREPARED,
    "prepared.one_name_on_two_connections": _PREPARED,
    "programs.3": _PREPARED,
    "programs.24": _PREPARED,
    "roles.discard_all": "DISCARD ALL forgets no prepared statement",
    "temporary.functions_of_pg_temp": "pg_temp has functions of two connections",
    "temporary.in_the_catalogs": "pg_class has no temporary table of another connection",
}
"""What is wrong by the behaviour's name, of one driver or of all."""

UNSTEADY: frozenset[str] = frozenset()
"""Those of them that hang in one run and not in another."""
