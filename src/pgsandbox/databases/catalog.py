"""What the server's catalog says about a database, and whether that makes it ours."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pgsandbox.databases.limits import DEFAULT_LIMITS, Limits, limited
from pgsandbox.databases.names import fits
from pgsandbox.guard import Mark, creation_limit, is_ours


@dataclass(frozen=True)
class Entry:
    """One database, as the catalog showed it at one moment."""

    name: str
    """``datname``."""
    oid: int
    """The oid, which a database keeps when it is renamed and never shares with a later one."""
    comment: str | None
    """The comment on the database, where our mark stands."""
    connection_limit: int
    """``datconnlimit``, where a database of ours is recognised before it is marked."""
    is_template: bool
    """``datistemplate``: DROP refuses such a database."""
    owner: str
    """The role that owns it."""
    may_drop: bool
    """Whether this connection's role has the owner's rights."""
    server: str
    """The server's system identifier, or nothing if the role may not read it."""

    @property
    def mark(self) -> Mark | None:
        """The mark, if the database bears one that names this very database."""
        if is_ours(self.comment, self.name, self.oid, self.server):
            return Mark.decode(self.comment)
        return None

    @property
    def is_unfinished(self) -> bool:
        """Whether a run of ours created it and has not marked it: nobody has used it yet."""
        return self.comment is None and self.connection_limit == creation_limit(self.name)

    @property
    def is_ours(self) -> bool:
        """Whether pgsandbox made it."""
        return self.mark is not None or self.is_unfinished


_COLUMNS = """
    select d.datname, d.oid::int8, pg_catalog.shobj_description(d.oid, 'pg_database'),
           d.datconnlimit, d.datistemplate, pg_catalog.pg_get_userbyid(d.datdba)::text,
           pg_catalog.pg_has_role(d.datdba, 'USAGE'), %s
      from pg_catalog.pg_database d
"""


def find(connection: Connection, name: str, limits: Limits = DEFAULT_LIMITS) -> Entry | None:
    """The database *name* as it is now, or None. Nothing is cached."""
    if not fits(name):
        # The server would cut the name, and find another database.
        return None
    with limited(connection, "look up", name, limits) as cursor:
        server = _system_identifier(cursor)
        cursor.execute(f"{_COLUMNS} where d.datname = %s", (server, name))
        row = cursor.fetchone()
    return None if row is None else Entry(*row)


def find_ours(connection: Connection, limits: Limits = DEFAULT_LIMITS) -> list[Entry]:
    """All databases on the server that pgsandbox made, marked or unfinished, by name."""
    with limited(connection, "list", "*", limits) as cursor:
        server = _system_identifier(cursor)
        # A limit that can't be ours, and a foreign comment, are sorted out here: the name of a
        # foreign database may be in an encoding that this connection can't read.
        cursor.execute(
            f"{_COLUMNS} where d.datconnlimit > 1000000 or pg_catalog.starts_with("
            "pg_catalog.shobj_description(d.oid, 'pg_database'), 'pgsandbox ') order by d.datname",
            (server,),
        )
        entries = [Entry(*row) for row in cursor.fetchall()]
    return [entry for entry in entries if entry.is_ours]


def _system_identifier(cursor: Cursor) -> str:
    """The number that tells this server from every other, if the role may read it.

    Asking for the right and using it takes two statements: the executor checks the right to call a
    function even in a branch that it never takes.
    """
    cursor.execute(
        "select pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
    )
    may_read = cursor.fetchone()
    if may_read != (True,):
        return ""
    cursor.execute("select system_identifier::text from pg_catalog.pg_control_system()")
    row = cursor.fetchone()
    return "" if row is None else str(row[0])
