"""PGS107: databases that tests create and drop by themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pgsandbox.lint.context import Context, Found
from pgsandbox.lint.names import spelt, text_of

_SQL = re.compile(r"\s*(create|drop)\s+database\b", re.IGNORECASE)
_EXECUTES = {"execute", "exec_driver_sql", "fetch", "fetchval", "text", "SQL"}
_FUNCTIONS = (".create_database", ".database_exists", ".drop_database")


def check(context: Context) -> Iterator[Found]:
    """Yield each statement and each call of sqlalchemy_utils that makes or drops a database."""
    for call in context.source.of(ast.Call):
        name = spelt(call.func).rpartition(".")[2]
        dotted = context.names.dotted(call.func) or ""
        if dotted.startswith("sqlalchemy_utils.") and dotted.endswith(_FUNCTIONS):
            yield Found("PGS107", call, f"{dotted}() looks after a database by hand")
        elif name in _EXECUTES and call.args:
            said = _SQL.match(text_of(call.args[0]) or "")
            if said:
                verb = said[1].upper()
                yield Found("PGS107", call, f"{verb} DATABASE looks after a database by hand")
