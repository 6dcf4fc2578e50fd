"""The behaviours that differ silently and should not, each with what is wrong.

The list may only become shorter: a behaviour that is not on it must not differ, and one that no
longer differs has to leave it.
"""

from __future__ import annotations

_CANCEL = "a statement that runs is not cancelled, and its notices come at its end"
_SERIES = "an advisory lock's key that is a column or a parameter"
_NOTIFY = "a notification that is no plain statement"
_UNSET = "a custom setting that one connection has set is empty on another, and not unknown"
_PREPARED = "PREPARE is seen by other connections"
_MODES = "a transaction's modes are not kept as the server keeps them"
_OF_PYTHON = "what a transaction has made is not there for the driver's own look-up"
_REPORTED = "parameter statuses are not told after a rollback or a reset"
_DECLARED = "DECLARE by the extended protocol outside of a transaction"

FAULTS: dict[str, str] = {
    "async_engines.cancelled_in_a_statement": _CANCEL,
    "cancelling.a_cancelled_task": _CANCEL,
    "cancelling.a_cancelled_task_of_psycopg": _CANCEL,
    "cancelling.by_pid": "pg_backend_pid() is not the pid that the connection was told",
    "cancelling.cancelled_from_a_thread": _CANCEL,
    "cancelling.command_timeout": _CANCEL,
    "cancelling.wait_for_gives_up": _CANCEL,
    "constraints.deferred_unique_and_triggers": "notices of deferred triggers are lost",
    "constraints.set_constraints": "no warning for SET CONSTRAINTS outside of a transaction",
    "constraints.set_constraints_of_one_connection": "SET CONSTRAINTS holds for all connections",
    "copies.a_hundred_thousand_rows[psycopg]": _OF_PYTHON,
    "copies.freeze": _OF_PYTHON,
    "copies.in_a_text_with_others[psycopg2]": "a row written before a COPY in one text is lost",
    "copies.of_every_type": _OF_PYTHON,
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
    "programs.2": "the endpoint dies",
    "programs.3": _PREPARED,
    "programs.5": _UNSET,
    "programs.10": _DECLARED,
    "programs.13": _UNSET,
    "programs.14": "a text in a failed transaction fails by its second statement",
    "programs.17": _UNSET,
    "programs.18": "no warning for SET LOCAL outside of a transaction",
    "programs.21": _DECLARED,
    "programs.24": _PREPARED,
    "roles.discard_all": "DISCARD ALL forgets no prepared statement",
    "roles.session_authorization_of_one_connection": _REPORTED,
    "savepoints.long_names_are_cut": "savepoints' names are not cut at 63 bytes",
    "settings.a_function_with_set": "what a function SETs is another connection's too",
    "settings.client_encoding": "text of two encodings is read in one",
    "settings.custom_settings_of_two_connections": _UNSET,
    "settings.options_at_connect": _UNSET,
    "settings.parameter_statuses": _REPORTED,
    "settings.set_config_as_a_function": _UNSET,
    "settings.settings_of_asyncpg": _REPORTED,
    "settings.settings_that_do_not_exist": "the endpoint dies",
    "settings.standard_conforming_strings_off": "backslashes in strings end them elsewhere",
    "temporary.functions_of_pg_temp": "pg_temp has functions of two connections",
    "temporary.in_the_catalogs": "pg_class has no temporary table of another connection",
    "texts.a_syntax_error_anywhere": "statements before a syntax error have run",
    "transactions.chain_outside_is_an_error": "COMMIT AND CHAIN outside is no error",
    "transactions.default_transaction_read_only": _MODES,
    "transactions.modes_of_the_driver": _MODES,
    "transactions.read_only": _MODES,
}
"""What is wrong by the behaviour's name, of one driver or of all."""

UNSTEADY = frozenset({"cancelling.command_timeout", "cancelling.wait_for_gives_up"})
"""Those of them that hang in one run and not in another."""
