"""What the server's catalog says about a database, and whether that makes it ours."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from psycopg2.extensions import connection as Connection

from pgsandbox.databases.limits import DEFAULT_LIMITS, Limits, limited
from pgsandbox.databases.naming import fits
from pgsandbox.databases.second_proof import mark_behind
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
        """The mark, if the database bears one that names this very database.

        Where another comment has taken its place, it is what the second proof still tells of it. A
        mark that names another database is no such comment: then two proofs contradict each other.
        """
        written = Mark.decode(self.comment)
        if written is None:
            return mark_behind(self.connection_limit, self.name, self.oid, self.server)
        return written if is_ours(self.comment, self.name, self.oid, self.server) else None

    @property
    def has_lost_its_mark(self) -> bool:
        """Whether only the connection limit tells that it is ours, which DROP may overwrite."""
        return self.is_ours and Mark.decode(self.comment) is None

    @property
    def is_unfinished(self) -> bool:
        """Whether a run of ours created it and has not marked it: nobody has used it yet.

        A build that is under way in it may have written a comment of its own.
        """
        is_of_us = self.connection_limit == creation_limit(self.name)
        return is_of_us and Mark.decode(self.comment) is None

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


@dataclass(frozen=True)
class Identity:
    """What does not change while an administrative connection lasts, asked for once."""

    role: str
    """The role whose rights count: ``ALTER ROLE ... SET role`` makes it another than the login."""
    may_create: bool
    """Whether it has CREATEDB or is a superuser."""
    is_superuser: bool
    """Whether it is a superuser."""
    waits_for_disk: bool
    """Whether the server's ``fsync`` is on."""
    server: str
    """The number that tells this server from every other, or nothing if the role may not read it"""


_identities: WeakKeyDictionary[Connection, Identity] = WeakKeyDictionary()


def identity_of(
    connection: Connection,
    action: str = "look up a role for",
    name: str = "*",
    limits: Limits = DEFAULT_LIMITS,
) -> Identity:
    """Who *connection* is, and where. Only the first call asks the server, to do *action*."""
    known = _identities.get(connection)
    if known is not None:
        return known
    with limited(connection, action, name, limits) as cursor:
        cursor.execute(
            "select current_user::text, rolcreatedb or rolsuper, rolsuper,"
            " current_setting('fsync') <> 'off', pg_catalog.has_function_privilege("
            "'pg_catalog.pg_control_system()', 'EXECUTE')"
            " from pg_catalog.pg_roles where rolname = current_user"
        )
        row = cursor.fetchone()
        assert row is not None  # the session's own role
        server = ""
        # Asking for the right and using it takes two statements: the executor checks the right to
        # call a function even in a branch that it never takes.
        if row[-1]:
            cursor.execute("select system_identifier::text from pg_catalog.pg_control_system()")
            ((server,),) = cursor.fetchall()
    role, may_create, is_superuser, waits_for_disk, _ = row
    known = Identity(role, may_create, is_superuser, waits_for_disk, server)
    _identities[connection] = known
    return known


def find(connection: Connection, name: str, limits: Limits = DEFAULT_LIMITS) -> Entry | None:
    """The database *name* as it is now, or None. Nothing of it is cached."""
    if not fits(name):
        # The server would cut the name, and find another database.
        return None
    server = identity_of(connection, "look up", name, limits).server
    with limited(connection, "look up", name, limits) as cursor:
        cursor.execute(f"{_COLUMNS} where d.datname = %s", (server, name))
        row = cursor.fetchone()
    return None if row is None else Entry(*row)


def find_ours(connection: Connection, limits: Limits = DEFAULT_LIMITS) -> list[Entry]:
    """All databases on the server that pgsandbox made, marked or unfinished, by name."""
    server = identity_of(connection, "list", "*", limits).server
    with limited(connection, "list", "*", limits) as cursor:
        # A limit that can't be ours, and a foreign comment, are sorted out here: the name of a
        # foreign database may be in an encoding that this connection can't read.
        cursor.execute(
            f"{_COLUMNS} where d.datconnlimit > 1000000 or pg_catalog.starts_with("
            "pg_catalog.shobj_description(d.oid, 'pg_database'), 'pgsandbox ') order by d.datname",
            (server,),
        )
        entries = [Entry(*row) for row in cursor.fetchall()]
    return [entry for entry in entries if entry.is_ours]
