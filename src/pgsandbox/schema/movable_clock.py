"""A database whose ``now()`` can be moved within a transaction.

Each database has its own ``pg_proc``, and in a test database ``now()`` is replaced by an expression
in SQL that reads a parameter. The planner puts it in line wherever ``now()`` is called (PostgreSQL
manual, 36.12): in statements, in column defaults, in functions. Its oid stays, so that everything
that was made before calls it, too. Where the parameter is not set, it is the beginning of the
transaction as ever.

``CURRENT_TIMESTAMP`` and its like are no functions (``SQLValueFunction``, primnodes.h) and can't be
replaced. A column default that is made of one becomes the call of ``now()`` that means the same.
This is done after the schema is built, in the test database alone: what compares schemas
builds databases of its own.
"""

from __future__ import annotations

import re
from typing import Any

from pgsandbox.errors import ConfigurationError, Fact

_IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
_REAL = (
    "CREATE OR REPLACE FUNCTION pg_catalog.pgsandbox_now() RETURNS timestamptz "
    "LANGUAGE internal STABLE PARALLEL SAFE AS 'now'"
)
_MOVABLE = (
    "CREATE OR REPLACE FUNCTION pg_catalog.{name}() RETURNS timestamptz "
    "LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT coalesce("
    "nullif(pg_catalog.current_setting('pgsandbox.now', true), '')::pg_catalog.timestamptz, "
    "pg_catalog.pgsandbox_now()) $$"
)
_DEFAULTS = (
    "SELECT d.adrelid::regclass::text, quote_ident(a.attname), pg_get_expr(d.adbin, d.adrelid) "
    "FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum "
    "WHERE d.adbin::text LIKE '%SQLVALUEFUNCTION%' AND a.attgenerated = ''"
)
_KEYWORD = re.compile(
    r"('(?:[^']|'')*')|\b(CURRENT_TIMESTAMP|LOCALTIMESTAMP|CURRENT_DATE|CURRENT_TIME|LOCALTIME)\b"
    r"(\(\d+\))?"
)
_TYPES = {
    "CURRENT_TIMESTAMP": "timestamptz",
    "LOCALTIMESTAMP": "timestamp",
    "CURRENT_DATE": "date",
    "CURRENT_TIME": "timetz",
    "LOCALTIME": "time",
}


def make_movable(connection: Any) -> None:
    """Let ``now()`` be moved in the database of *connection*, a driver's in autocommit.

    Raises:
        ConfigurationError: its role is no superuser.
    """
    with connection.cursor() as cursor:
        cursor.execute(_IS_SUPERUSER)
        if not cursor.fetchone()[0]:
            raise ConfigurationError(
                'clock = "moving" replaces now() in the test database, which only a superuser may.',
                facts=[Fact("clock", "moving")],
                remedy="Use the embedded server, give a role that is a superuser on a server for "
                'tests, or leave the clock "still".',
            )
        cursor.execute(_REAL)
        for name in ("now", "transaction_timestamp"):
            cursor.execute(_MOVABLE.format(name=name))
        cursor.execute(_DEFAULTS)
        for table, column, default in cursor.fetchall():
            cursor.execute(
                f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {by_now(default)}"
            )


def by_now(expression: str) -> str:
    """Return *expression*, as the server deparses it, with ``now()`` for the keywords."""

    def call(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        if match[2] == "CURRENT_TIMESTAMP" and not match[3]:
            return "now()"
        return f"(now()::{_TYPES[match[2]]}{match[3] or ''})"

    return _KEYWORD.sub(call, expression)
