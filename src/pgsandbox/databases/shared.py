"""What all databases of a server share: looked at before a clone test, and compared after it.

A clone is a whole database, and its test a client like any other: it may do what its role may, also
to what is not in the clone. Databases, roles, settings, tablespaces, replication slots and the
server's configuration are not copied with a clone and not dropped with it. The test that leaves
them otherwise than they were fails.

**Attribution.** What runs of pgsandbox do all the time, to databases of their own, is left out:
those are recognised by their marks. Of anything else the server's log tells whether a session in
the test's clone has committed a change to a shared catalog; if none has, it was somebody else: a
person, another run, another worker's clone test. Where the log can't be read (no superuser,
``wal_level = minimal``, files that are gone) it counts as the test's if the role has the right to
it, and so do replication slots and ``ALTER SYSTEM``, which are no transactions; the error says so.

**Put back** is what is ours: settings of databases that bear our mark. Everything else is told, and
left: nothing proves that a role or a slot is nobody's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pgsandbox.databases.admin import proven
from pgsandbox.databases.commits import LogPosition, have_changed_shared, log_position
from pgsandbox.databases.limits import DEFAULT_LIMITS, Limits, limited, url_fact
from pgsandbox.databases.pg_database import Entry, identity_of
from pgsandbox.errors import Fact, SharedStateChanged

_SHOWN = 10
_NOT_LOGGED = ("replication slot", "ALTER SYSTEM")
"""What no transaction does, so that no commit tells of it."""

Thing = tuple[str, str]
"""A kind and a name."""


@dataclass(frozen=True)
class SharedState:
    """What a server's databases share, at one moment."""

    things: Mapping[Thing, Mapping[str, Any]]
    """What is known of each thing that is not ours."""
    settings: Mapping[tuple[str, int], Sequence[str]]
    """The settings of each marked database of ours, by name and oid."""
    log: LogPosition | None = None
    """Where the server's log ended before; None if it can't be read."""


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was."""

    kind: str
    """``database``, ``role``, ``tablespace``, ``replication slot``, ..."""
    name: str
    """Its name."""
    how: str
    """``is new``, ``is gone``, or what of it was what and is what."""
    is_put_back: bool = False
    """Whether it is as it was again."""


def shared_state(connection: Connection, limits: Limits = DEFAULT_LIMITS) -> SharedState:
    """What the databases of this server share now, as far as the connection's role may see it."""
    identity = identity_of(connection, limits=limits)
    log = log_position(connection, limits)
    with limited(connection, "look at what is shared with", "*", limits) as cursor:
        if connection not in _prepared:
            queries: tuple[str, ...] = (_DATABASES, _ROLES, *_OTHERS)
            if identity.is_superuser:
                queries = (_DATABASES, _ROLES_WITH_PASSWORDS, *_OTHERS, _CONFIGURATION)
            cursor.execute("prepare pgsandbox_shared as " + " union all ".join(queries))
            _prepared.add(connection)
        cursor.execute("execute pgsandbox_shared")
        rows = cursor.fetchall()
    ours: dict[int, Entry] = {}
    for kind, name, database, what in rows:
        if kind == "database":
            entry = Entry(
                _text(name),
                database,
                what["comment"],
                what["datconnlimit"],
                is_template=False,
                owner="",
                may_drop=False,
                server=identity.server,
            )
            if entry.is_ours:
                ours[database] = entry
    things: dict[Thing, Mapping[str, Any]] = {}
    settings: dict[tuple[str, int], Sequence[str]] = {}
    for kind, name, database, what in rows:
        if database not in ours:
            things[kind, _text(name)] = what
        elif kind == "database" and ours[database].mark is not None:
            settings[ours[database].name, database] = what["settings"] or []
    return SharedState(things, settings, log)


def changes(
    connection: Connection,
    before: SharedState,
    limits: Limits = DEFAULT_LIMITS,
    *,
    clones: Collection[int] | None = None,
) -> list[Change]:
    """What is no longer as it was *before*; what is ours to put back is put back.

    Where *clones* are given, what no session in these databases can have done is left out.
    """
    after = shared_state(connection, limits)
    things = [
        thing
        for thing in sorted({*before.things, *after.things})
        if before.things.get(thing) != after.things.get(thing)
    ]
    settings = [
        (name, oid, was, now)
        for (name, oid), was in before.settings.items()
        if sorted(now := after.settings.get((name, oid), was)) != sorted(was)
        and oid not in (clones or ())
    ]
    if clones is not None and (things or settings):
        is_theirs = have_changed_shared(connection, clones, before.log, limits)
        if is_theirs is False:
            settings = []
            things = [thing for thing in things if thing[0] in _NOT_LOGGED]
        elif is_theirs is None:
            things = _possible(connection, things, before, after, limits)
    found = [
        Change(*thing, _how(before.things.get(thing), after.things.get(thing))) for thing in things
    ]
    for name, oid, was, now in settings:
        is_put_back = _put_back(connection, name, oid, was, limits)
        how = f"settings: {', '.join(was) or 'none'} -> {', '.join(now) or 'none'}"
        found.append(Change("database", name, how, is_put_back))
    return found


def _possible(
    connection: Connection,
    things: list[Thing],
    before: SharedState,
    after: SharedState,
    limits: Limits,
) -> list[Thing]:
    """Return those of *things* that the role of the tests, which is ours, has the right to change.

    A new or a former database can only be its own, and roles take a right of their own.
    """
    if not things or identity_of(connection, limits=limits).is_superuser:
        return things
    with limited(connection, "look up the rights at", "*", limits) as cursor:
        cursor.execute(
            "select rolcreaterole, current_user::text, array(select oid::int8 from"
            " pg_catalog.pg_roles where pg_catalog.pg_has_role(current_user, oid, 'member'))"
            " from pg_catalog.pg_roles where rolname = current_user"
        )
        ((may_make_roles, role, member_of),) = cursor.fetchall()
    found = []
    for kind, name in things:
        known = after.things.get((kind, name)) or before.things.get((kind, name)) or {}
        if kind == "database":
            is_possible = int(known["datdba"]) in member_of
        elif kind in ("role", "membership"):
            is_possible = may_make_roles or (kind, name) == ("role", role)
        else:
            is_possible = kind not in ("tablespace", "settings of all databases")
        if is_possible:
            found.append((kind, name))
    return found


def left_changed(connection: Connection, found: Sequence[Change]) -> SharedStateChanged:
    """The error for a clone test after which *found* was not as before."""
    facts = [
        Fact(each.kind, f"{each.name}: {each.how}" + ", put back" * each.is_put_back)
        for each in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        facts.append(Fact("and", f"{len(found) - _SHOWN} more"))
    return SharedStateChanged(
        "The test has changed what all databases of the server share, and that does not go with "
        "its clone.",
        facts=[url_fact(connection, connection.info.dbname), *facts],
        remedy="Put it back as it was, and let the test do so from now on, in a fixture that also "
        "runs when it fails. A test that did nothing of the kind has met somebody else's work: the "
        "clone test of another worker, or a person at psql.",
    )


# Each query gives a kind, a name, the database that it belongs to, and what is known of it. A name
# is sent as bytes: a foreign one may be in an encoding that this connection can't read.
_DATABASES = """
    select 'database', pg_catalog.namesend(d.datname), d.oid::int8,
           pg_catalog.to_jsonb(d) - '{datname,datfrozenxid,datminmxid,datcollversion}'::text[]
           || pg_catalog.jsonb_build_object(
                  'comment', pg_catalog.shobj_description(d.oid, 'pg_database'),
                  'settings', (select pg_catalog.to_jsonb(s.setconfig)
                                 from pg_catalog.pg_db_role_setting s
                                where s.setdatabase = d.oid and s.setrole = 0))
      from pg_catalog.pg_database d
"""
_ROLES = """
    select 'role', pg_catalog.namesend(r.rolname), null::int8,
           pg_catalog.to_jsonb(r) - '{rolname}'::text[]
      from pg_catalog.pg_roles r where r.rolname !~ '^pg_'
"""
_ROLES_WITH_PASSWORDS = """
    select 'role', pg_catalog.namesend(r.rolname), null::int8,
           pg_catalog.to_jsonb(r) - '{rolname,rolpassword}'::text[]
           || pg_catalog.jsonb_build_object(
                  'password', pg_catalog.md5(r.rolpassword),
                  'settings', (select pg_catalog.to_jsonb(s.setconfig)
                                 from pg_catalog.pg_db_role_setting s
                                where s.setrole = r.oid and s.setdatabase = 0))
      from pg_catalog.pg_authid r where r.rolname !~ '^pg_'
"""
_OTHERS = (
    """
    select 'settings of a role in a database',
           pg_catalog.textsend(s.setrole || ' in ' || s.setdatabase), s.setdatabase::int8,
           pg_catalog.jsonb_build_object('settings', s.setconfig)
      from pg_catalog.pg_db_role_setting s where s.setrole <> 0 and s.setdatabase <> 0
    """,
    """
    select 'settings of all databases', pg_catalog.textsend('*'), null,
           pg_catalog.jsonb_build_object('settings', s.setconfig)
      from pg_catalog.pg_db_role_setting s where s.setrole = 0 and s.setdatabase = 0
    """,
    """
    select 'membership', pg_catalog.textsend(m.member::regrole || ' in ' || m.roleid::regrole),
           null, pg_catalog.jsonb_agg(pg_catalog.to_jsonb(m)) -> 0
      from pg_catalog.pg_auth_members m group by m.member, m.roleid
    """,
    """
    select 'tablespace', pg_catalog.namesend(t.spcname), null,
           pg_catalog.to_jsonb(t) - '{spcname}'::text[]
      from pg_catalog.pg_tablespace t
    """,
    """
    select 'replication slot', pg_catalog.namesend(s.slot_name), s.datoid::int8,
           pg_catalog.jsonb_build_object('type', s.slot_type, 'plugin', s.plugin)
      from pg_catalog.pg_replication_slots s where not s.temporary
    """,
)
# What ALTER SYSTEM writes, whether or not it is in force yet.
_CONFIGURATION = """
    select 'ALTER SYSTEM', pg_catalog.textsend('postgresql.auto.conf'), null,
           pg_catalog.jsonb_build_object(
               'lines', pg_catalog.pg_read_file('postgresql.auto.conf', 0, 1000000, true))
"""

_prepared: WeakSet[Connection] = WeakSet()
"""The connections that have the query: to plan it takes three times as long as to run it."""


def _text(name: memoryview) -> str:
    return bytes(name).decode(errors="replace")


def _how(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    if was is None or now is None:
        return "is new" if was is None else "is gone"
    if was.get("oid") != now.get("oid"):
        return "was dropped, and made anew"
    if "lines" in was:
        lines = [set(str(each["lines"]).splitlines()) for each in (was, now)]
        return "; ".join(sorted(lines[1] - lines[0]) + [f"no {x}" for x in lines[0] - lines[1]])
    return "; ".join(
        f"its {name} was changed"
        if name == "password"
        else f"{name}: {was.get(name)} -> {now.get(name)}"
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    )


def _put_back(
    connection: Connection, name: str, oid: int, settings: Sequence[str], limits: Limits
) -> bool:
    """Give our database *name* the *settings* that it had; False if it is another one by now."""
    entry = proven(connection, name, limits)
    if entry is None or entry.oid != oid:
        return False
    database = sql.Identifier(name)
    statements = [sql.SQL("ALTER DATABASE {} RESET ALL").format(database)]
    for each in settings:
        setting, _, value = each.partition("=")
        statements.append(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                database, sql.Identifier(setting), sql.Literal(value)
            )
        )
    with limited(connection, "put the settings back of", name, limits) as cursor:
        cursor.execute(sql.SQL(";").join(statements))
    return True
