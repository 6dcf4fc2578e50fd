"""The behaviours that are declared to differ in the sandbox, each with its limit.

The limits are those of the documentation's list (docs/testing/isolation.md, Limits). A behaviour
that is refused by name needs no line here.
"""

from __future__ import annotations

_ROW_LOCKS = "row locks lock nobody out"
_TABLE_LOCKS = "locks of tables lock nobody out"
_LEVELS = "all transactions share one, at READ COMMITTED"

LIMITS: dict[str, str] = {
    "limits.now_of_two_transactions": "now() stands still",
    "limits.custom_settings_in_functions": "a custom setting of another connection is empty",
    "limits.transaction_numbers": "the whole test is one transaction",
    "limits.a_repeatable_snapshot": _LEVELS,
    "limits.serializable_conflicts": _LEVELS,
    "limits.levels_by_set": _LEVELS,
    "limits.an_uncommitted_row_is_unseen": "uncommitted rows are seen; the end of the test says so",
    "locks.row_locks_of_two": _ROW_LOCKS,
    "locks.rows_that_are_skipped": _ROW_LOCKS,
    "locks.an_update_of_the_same_row": _ROW_LOCKS,
    "locks.the_same_key_by_two": _ROW_LOCKS,
    "locks.locks_of_tables": _TABLE_LOCKS,
    "temporary.in_the_catalogs": "temporary tables of others have other names in the catalogs",
}
"""The limit by the behaviour's name, of one driver or of all."""
