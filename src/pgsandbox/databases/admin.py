"""Databases are made, marked and dropped here, and nowhere else in pgsandbox.

Two rules hold for every function:

* A statement that changes a database runs right after the same server has proven, on the same
  connection, that the database is ours: its mark names this very database, or it is still as our
  CREATE DATABASE left it. No argument turns that off.
* A statement that waits has time limits, and tells who made it wait (`limits`).

Between the proof and the statement lies one round trip. pgsandbox itself does nothing then, since
it holds the database's lease (`lease`). Somebody else who, within it, renames the test database
and gives its name to another one is not caught: DROP DATABASE can't share a transaction with
anything (manual, DROP DATABASE).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from psycopg2 import errors as causes
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pgsandbox.databases.limits import DEFAULT_LIMITS, Limits, limited, url_fact
from pgsandbox.databases.naming import fits
from pgsandbox.databases.pg_database import Entry, find, identity_of
from pgsandbox.databases.second_proof import limit_of
from pgsandbox.errors import (
    DatabaseError,
    Fact,
    MayNotCreateDatabases,
    NotATestDatabase,
)
from pgsandbox.guard import LONGEST_NAME, Mark, creation_limit

_FIRST_WITH_STRATEGY = 150000
_BYTES_A_SECOND = 20_000_000
_WORTH_TELLING = 3
_sizes: WeakKeyDictionary[Connection, dict[int, int]] = WeakKeyDictionary()
"""How large the templates are that were copied over a connection, by oid."""


def may_create_databases(connection: Connection) -> bool:
    """Whether the connection's role has CREATEDB or is a superuser."""
    return identity_of(connection).may_create


def require_createdb(connection: Connection) -> None:
    """Return if the role may create databases; else raise MayNotCreateDatabases."""
    if not may_create_databases(connection):
        raise missing_createdb(connection)


def exists(connection: Connection, name: str) -> bool:
    """Whether the server has a database of exactly this name, whoever made it."""
    return find(connection, name) is not None


def read_mark(connection: Connection, name: str) -> Mark | None:
    """The mark of the database *name*; None if it bears none, or one that is not its own."""
    entry = find(connection, name)
    return None if entry is None else entry.mark


def create(
    connection: Connection,
    name: str,
    limits: Limits = DEFAULT_LIMITS,
    *,
    template: str | None = None,
) -> int | None:
    """Create the database *name* and return its oid; None if the name is taken meanwhile.

    It is a copy of *template*, or empty: then it comes from ``template0``, so that nothing which
    somebody put into ``template1`` is in it, in UTF-8, and sorts as ``template1`` does.

    Until `mark` finishes it, its connection limit tells that it is ours (``guard.creation_limit``):
    there is no instant at which a killed run leaves a database that no later run can recognise.

    Raises NotATestDatabase if *template* is not ours: nothing of anybody else's is copied either.
    """
    _require_storable(connection, name)
    enough = limits
    if template is not None:
        source = proven(connection, template, limits)
        enough = _enough_to_copy(connection, source, limits)
    with limited(connection, "create", name, enough) as cursor:
        origin = _empty(cursor) if template is None else _copy_of(connection, template)
        statement = sql.SQL("CREATE DATABASE {name} {origin} CONNECTION LIMIT {limit}").format(
            name=sql.Identifier(name), origin=origin, limit=sql.Literal(creation_limit(name))
        )
        try:
            cursor.execute(statement)
        except (causes.DuplicateDatabase, causes.UniqueViolation):
            return None
        except causes.InsufficientPrivilege:
            if may_create_databases(connection):
                raise
            raise missing_createdb(connection) from None
    entry = find(connection, name, limits)
    return None if entry is None else entry.oid


def mark(
    connection: Connection,
    name: str,
    oid: int,
    *,
    owner: str = "",
    purpose: str = "test",
    is_kept: bool = False,
    inputs: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Mark:
    """Write our mark on the database *name*, which `create` made, and return it.

    The mark, its second proof in the connection limit (`second_proof`) and ``jit = off`` (jit can
    take most of a test query's time) come into force at one instant. A database that is marked
    already is marked anew. With *inputs* it is a template, used now, and nobody can connect to it
    from that instant on. Raises NotATestDatabase if the database isn't ours, DatabaseError if it
    isn't *oid* any more.
    """
    entry = proven(connection, name, limits)
    if entry is None or entry.oid != oid:
        raise DatabaseError(
            f'The database "{name}" was removed or replaced by somebody else.',
            facts=[url_fact(connection, name), Fact("oid", str(oid), "when it was created")],
        )
    now = datetime.now(UTC)
    created = entry.mark.created if entry.mark else now.isoformat(timespec="seconds")
    text = Mark(
        database=name,
        oid=oid,
        server=entry.server,
        purpose=purpose,
        owner=owner,
        created=created,
        is_kept=is_kept,
        used="" if inputs is None else now.isoformat(),
        inputs=inputs or "",
    )
    closing = "" if inputs is None else ";ALTER DATABASE {name} ALLOW_CONNECTIONS false"
    with limited(connection, "mark", name, limits) as cursor:
        # One message to the server, hence one transaction (manual, 55.2.2.1).
        cursor.execute(
            sql.SQL(
                "COMMENT ON DATABASE {name} IS {mark};"
                "ALTER DATABASE {name} CONNECTION LIMIT {limit};"
                "ALTER DATABASE {name} SET jit = off" + closing
            ).format(
                name=sql.Identifier(name),
                mark=sql.Literal(text.encode()),
                limit=sql.Literal(limit_of(text)),
            )
        )
    return text


def drop(
    connection: Connection,
    name: str,
    *,
    oid: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    is_held: Callable[[], bool] | None = None,
) -> bool:
    """Drop the database *name*, which pgsandbox made, and end all sessions in it.

    Returns False, and does nothing, if it does not exist, if *oid* is given and it is another one
    by now, or if *is_held* is given and says, last of all, that its lease is lost. Raises
    NotATestDatabase if it isn't ours, and AdministrationBlocked if sessions that this role can't
    end, or locks, last beyond *limits*.
    """
    entry = proven(connection, name, limits)
    if entry is None or oid not in (None, entry.oid):
        return False
    if not entry.may_drop:
        raise DatabaseError(
            f'"{name}" belongs to another role, so it was not dropped.',
            facts=[
                url_fact(connection, name),
                Fact("owner", entry.owner, "pg_database"),
                Fact("role", role_of(connection), "the administrative connection"),
            ],
            remedy="Drop it as its owner, or grant the owner's role to this one.",
        )
    if entry.has_lost_its_mark:
        # An interrupted DROP sets the connection limit to -2 first and would take the only proof
        # away (PostgreSQL 16 and later minor versions of 11 to 15, "invalid database").
        mark(connection, name, entry.oid, limits=limits)
    with limited(connection, "drop", name, limits) as cursor:
        if entry.is_template:
            # DROP refuses a template. An invalid database, which can't be altered, is never one.
            cursor.execute(_on(name, "ALTER DATABASE {} IS_TEMPLATE false"))
        if entry.is_template or entry.has_lost_its_mark:
            again = proven(connection, name, limits)
            if again is None or again.oid != entry.oid:
                return False
        if is_held is not None and not is_held():
            return False
        _drop_now(cursor, entry)
    return True


def roll_back_prepared(connection: Connection, name: str, limits: Limits = DEFAULT_LIMITS) -> None:
    """Roll back the prepared transactions of our database *name*, to which *connection* goes.

    They outlive their sessions and the server itself, DROP ... WITH (FORCE) refuses a database that
    has one, and they can only be ended from inside (manual, ROLLBACK PREPARED).
    """
    if proven(connection, name, limits) is None:
        return
    with limited(connection, "roll back what was prepared in", name, limits) as cursor:
        cursor.execute(
            "select gid from pg_catalog.pg_prepared_xacts"
            " where database = current_database() and database = %s::text",
            (name,),
        )
        for (gid,) in cursor.fetchall():
            try:
                cursor.execute("ROLLBACK PREPARED %s", (gid,))
            except causes.UndefinedObject:
                continue  # somebody else has just ended it


def obstacles(connection: Connection, name: str, limits: Limits = DEFAULT_LIMITS) -> frozenset[str]:
    """What is in the database *name* that DROP ... WITH (FORCE) refuses, of `OBSTACLES`."""
    with limited(connection, "look for what keeps", name, limits) as cursor:
        cursor.execute(_OBSTACLES, {"name": name})
        (found,) = cursor.fetchall()
    return frozenset(each for each, is_there in zip(OBSTACLES, found, strict=True) if is_there)


OBSTACLES = ("prepared transactions", "subscriptions", "slots in use")
_OBSTACLES = """
    select exists (select from pg_catalog.pg_prepared_xacts where database = %(name)s::text),
           exists (select from pg_catalog.pg_subscription s
                     join pg_catalog.pg_database d on d.oid = s.subdbid
                    where d.datname = %(name)s::text),
           exists (select from pg_catalog.pg_replication_slots
                    where database = %(name)s::text and active_pid is not null)
"""


def _require_storable(connection: Connection, name: str) -> None:
    """Return if a database that is created as *name* can be connected to as *name*."""
    encoding = connection.info.parameter_status("server_encoding") or ""
    if not fits(name):
        facts = [
            Fact("length", f"{len(name.encode(errors='replace'))} bytes of UTF-8"),
            Fact("longest", f"{LONGEST_NAME} bytes", "PostgreSQL manual, 4.1.1"),
        ]
    elif name.isascii() or encoding in ("UTF8", "SQL_ASCII"):
        return
    else:
        # Statements are converted to the encoding of the session's database, and with them the name
        # that is stored; the name in a connection's first message never is.
        facts = [Fact("encoding", encoding, "the maintenance database, which stores it otherwise")]
    raise DatabaseError(
        f'"{name}" can\'t be the name of a database here.',
        facts=[url_fact(connection, connection.info.dbname), *facts],
        remedy="Choose another name: a short one of ASCII letters always works.",
    )


def proven(connection: Connection, name: str, limits: Limits = DEFAULT_LIMITS) -> Entry | None:
    """The database *name* if it is ours, None if there is none; else NotATestDatabase."""
    entry = find(connection, name, limits)
    if entry is None or entry.is_ours:
        return entry
    raise NotATestDatabase(
        f'"{name}" is not a database of pgsandbox, so nothing was changed in it.',
        facts=[
            url_fact(connection, name),
            Fact("mark", _described(entry), "comment on the database"),
        ],
        remedy="Point TEST_DATABASE_URL at a name that does not exist yet: pgsandbox creates it.",
    )


def _described(entry: Entry) -> str:
    found = Mark.decode(entry.comment)
    if found is None:
        return "none"
    return (
        f'names the database "{found.database}" with oid {found.oid} on server {found.server},\n'
        f"while this one has oid {entry.oid} on server {entry.server}"
    )


def _drop_now(cursor: Cursor, entry: Entry) -> None:
    try:
        cursor.execute(_on(entry.name, "DROP DATABASE IF EXISTS {} WITH (FORCE)"))
    except causes.InsufficientPrivilege:
        # FORCE ends either all sessions or none, and without pg_signal_backend it may not even end
        # an autovacuum worker. Plain DROP sends those away itself and waits 5 s for the others.
        cursor.execute(
            "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity"
            " where datid = %s and pid <> pg_catalog.pg_backend_pid()"
            " and pg_catalog.pg_has_role(usesysid, 'USAGE')",
            (entry.oid,),
        )
        cursor.execute(_on(entry.name, "DROP DATABASE IF EXISTS {}"))


def _on(name: str, statement: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(name))


# to_jsonb, since PostgreSQL 14 lacks the provider's columns and 17 renamed one of them.
_LOCALE = """
    select d.datcollate::text, d.datctype::text,
           pg_catalog.pg_encoding_to_char(d.encoding) = 'UTF8',
           coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c'),
           coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale',
                    pg_catalog.to_jsonb(d) ->> 'daticulocale'),
           pg_catalog.to_jsonb(d) ->> 'daticurules'
      from pg_catalog.pg_database d
     where d.datname in ('template1', 'template0')
     order by d.datname desc limit 1
"""


def _empty(cursor: Cursor) -> sql.Composed:
    locale = _locale_of_template1(cursor)
    return sql.SQL("TEMPLATE template0 ENCODING 'UTF8' {locale}").format(locale=locale)


def _copy_of(connection: Connection, template: str) -> sql.Composed:
    """Copy files where the server does not wait for the disk, else write the log (manual, 23.3).

    FILE_COPY needs two checkpoints: measured two to three times faster than WAL_LOG where fsync is
    off, and five to ten times slower where it is on. PostgreSQL 14 knows no choice.
    """
    strategy = "WAL_LOG" if identity_of(connection).waits_for_disk else "FILE_COPY"
    has_choice = connection.server_version >= _FIRST_WITH_STRATEGY
    clause = f" STRATEGY {strategy}" if has_choice else ""
    return sql.SQL("TEMPLATE {template}" + clause).format(template=sql.Identifier(template))


def _enough_to_copy(connection: Connection, source: Entry | None, limits: Limits) -> Limits:
    """*limits*, with a second more for each 20 MB of a *source* that is large."""
    if source is None:
        return limits
    sizes = _sizes.setdefault(connection, {})
    if source.oid not in sizes:
        with limited(connection, "look up the size of", source.name, limits) as cursor:
            cursor.execute("select pg_catalog.pg_database_size(%s::oid)", (source.oid,))
            sizes[source.oid] = (cursor.fetchone() or (0,))[0] or 0
    more = sizes[source.oid] // _BYTES_A_SECOND
    return limits if more < _WORTH_TELLING else replace(limits, statement=limits.statement + more)


def _locale_of_template1(cursor: Cursor) -> sql.Composed:
    """The options by which a new database sorts as ``template1`` does, and with it most others.

    A locale that belongs to another encoding than UTF-8 can't be had; ``C`` goes with every one.
    """
    cursor.execute(_LOCALE)
    row = cursor.fetchone()
    collate, ctype, is_utf8, provider, locale, rules = row or ("C", "C", True, "c", None, None)
    if not is_utf8:
        collate, ctype = (name if name in ("C", "POSIX") else "C" for name in (collate, ctype))
    options = {"LC_COLLATE": collate, "LC_CTYPE": ctype}
    if provider == "i" and locale:
        options |= {"LOCALE_PROVIDER": "icu", "ICU_LOCALE": locale}
        options |= {"ICU_RULES": rules} if rules else {}
    elif provider == "b" and locale:
        options |= {"LOCALE_PROVIDER": "builtin", "BUILTIN_LOCALE": locale}
    elif cursor.connection.server_version >= _FIRST_WITH_PROVIDERS:
        options |= {"LOCALE_PROVIDER": "libc"}
    return sql.SQL(" ").join(
        sql.SQL("{} {}").format(sql.SQL(option), sql.Literal(value))
        for option, value in options.items()
    )


_FIRST_WITH_PROVIDERS = 150000


def missing_createdb(connection: Connection) -> MayNotCreateDatabases:
    """The error for a role without CREATEDB, with the ways out."""
    role = role_of(connection)
    statement = _on(role, "ALTER ROLE {} CREATEDB;").as_string(connection)
    return MayNotCreateDatabases(
        f'The role "{role}" may not create databases, so there is nothing to test in.',
        facts=[
            url_fact(connection, connection.info.dbname),
            Fact("role", role, "the administrative connection"),
            Fact("right", "no CREATEDB", "pg_roles"),
        ],
        remedy="Let an administrator of the server give the role the right:\n"
        f"  {statement}\n"
        "Or let pgsandbox start a server of its own, in [tool.pgsandbox] of pyproject.toml:\n"
        '  server = "embedded"',
    )


def role_of(connection: Connection) -> str:
    """The role whose rights count."""
    return identity_of(connection).role
