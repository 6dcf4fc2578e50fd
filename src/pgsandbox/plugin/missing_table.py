"""Why a table that a failing test asks for is not in the test database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from pgsandbox.errors import PgSandboxError, chain_of

_UNDEFINED_TABLE = "42P01"
_NAMED = re.compile(r'relation "([^"]+)" does not exist')


def hint(failure: BaseException, schema: str, tables: Callable[[], Iterable[str]]) -> str | None:
    """Return why the table is missing that *failure* is about; None if it is about none.

    *schema* is the setting that says what tables are made from, *tables* returns those that the
    metadata knows by now.
    """
    name = next(filter(None, (_table_in(error) for error in chain_of(failure))), None)
    if name is None:
        return None
    try:
        is_known = name.rpartition(".")[2] in {each.rpartition(".")[2] for each in tables()}
    except PgSandboxError:
        return None
    if schema == "migrations":
        has_model = ", although a model has it" if is_known else ""
        return (
            f'No migration makes the table "{name}"{has_model}: the schema of the test database is '
            "what the migrations make. Write the migration; `pgsandbox schema diff` compares both."
        )
    if is_known:
        return (
            f'The model of the table "{name}" was registered after the schema had been built, '
            "which is before the first test. Import its module where the others are imported, so "
            "that the setting metadata registers it; a model that a test defines needs a "
            "create_all() in that test."
        )
    return (
        f'No model that the setting metadata leads to has the table "{name}". Let its module be '
        "imported by the one that metadata names, or name a second MetaData in the list; rows of "
        'a table without a model need the setting schema = "migrations", or a seed that makes it.'
    )


def _table_in(error: BaseException) -> str | None:
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    found = _NAMED.search(str(error)) if code == _UNDEFINED_TABLE else None
    return found[1] if found else None
