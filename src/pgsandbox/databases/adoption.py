"""Databases that their owner hands over, for roles that may not create any.

pgsandbox drops only what it made, and where the role lacks CREATEDB it can't make anything. So
there is a second way to a database of ours: somebody with the right prepares an empty one for the
role (``CREATE DATABASE shop_test OWNER ci``), and its owner *adopts* it. That is a command of its
own, never something that a run does, and it is refused if anything at all is in the database:
whatever is in it later was put there after somebody had said that runs may empty it.

An adopted database bears a mark of a purpose of its own. So no run drops it and no reaper takes it;
a run that has its lease *empties* it, at its start and at its end, after the server has proven the
mark on the same connection. It empties by dropping each object that belongs to no extension of
another role; DROP OWNED would do the same in one statement and revoke the role's privileges on
other databases with it (manual, DROP OWNED).

What stays from run to run is what no object holds: privileges on the database and on its schema
``public``, and extensions that another role created.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pgsandbox.databases import admin, catalog, names
from pgsandbox.databases.catalog import Entry
from pgsandbox.databases.connecting import Server, administration, open_connection
from pgsandbox.databases.lease import Lease, Leases
from pgsandbox.databases.lifecycle import OwnedDatabase, PassedOver
from pgsandbox.databases.limits import DEFAULT_LIMITS, Limits, limited, url_fact
from pgsandbox.errors import (
    AdoptionRefused,
    DatabaseError,
    Fact,
    MayNotCreateDatabases,
    NotATestDatabase,
)
from pgsandbox.guard import Mark

ADOPTED = "adopted"
"""The purpose in the mark of a database that its owner handed over."""

_ATTEMPTS = 100
_SHOWN = 5
_NEVER = ("postgres", "template0", "template1")


@dataclass(frozen=True)
class Piece:
    """One object in a database, as ``pg_identify_object`` names it."""

    kind: str
    """What it is: ``table``, ``function``, ``schema``."""
    identity: str
    """Its name, quoted and with its schema and arguments, as a DROP takes it."""

    def __str__(self) -> str:
        """How messages name it."""
        return f"{self.kind} {self.identity}"


@dataclass
class AdoptedDatabase(OwnedDatabase):
    """An adopted database that this run holds: emptied where one of our own would be dropped."""

    def drop(self) -> None:
        """Empty the database and end the lease. Does nothing when repeated.

        Raises AdministrationBlocked if it takes too long: then the lease is ended all the same, and
        the next run empties the database.
        """
        if self._has_ended:
            return
        try:
            if self._still_holds():
                _empty(self.server, self.name, self.mark.oid, self.limits)
        finally:
            self._end()

    def keep(self) -> None:
        """Leave the contents to people until the next run empties the database; end the lease."""
        self._end()

    def recreate(self, template: str | None = None) -> None:
        """Empty the database under the same lease. Raises LeaseLost if it is another run's."""
        assert template is None  # where no database can be created, none can be copied
        with administration(self.server) as connection:
            self._require_held(connection)
        _empty(self.server, self.name, self.mark.oid, self.limits)


def adopt(server: Server, name: str, *, owner: str = "", limits: Limits = DEFAULT_LIMITS) -> Mark:
    """Mark the empty database *name* as one that runs may empty, and return the mark.

    The connection's role must own it. *owner* is for people who read the mark. A database that is
    adopted already stays so. Raises AdoptionRefused, with what is in it, if it is not empty, and if
    it is one that nobody hands over; then nothing was changed.
    """
    with administration(server) as connection:
        entry = catalog.find(connection, name, limits)
        if entry is not None and _is_adopted(entry):
            assert entry.mark is not None
            return entry.mark
        _require_adoptable(connection, name, entry)
        assert entry is not None
        mark = Mark(
            database=name,
            oid=entry.oid,
            server=entry.server,
            purpose=ADOPTED,
            owner=owner,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    with closing(open_connection(server, name)) as inside:
        _require_empty(inside, name, limits)
        _comment(inside, name, mark.encode(), limits)
        try:
            # Somebody may have come in between.
            _require_empty(inside, name, limits)
        except AdoptionRefused:
            _comment(inside, name, entry.comment, limits)
            raise
    return mark


def adopted(connection: Connection) -> list[str]:
    """The names of the adopted databases that the connection's role may use."""
    entries = catalog.find_ours(connection)
    return [entry.name for entry in entries if _is_adopted(entry) and entry.may_drop]


def take(
    server: Server,
    application: str | None,
    *,
    exact: str | None = None,
    worker: str | None = None,
    leases: Leases | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> AdoptedDatabase:
    """The first free adopted database among the names that `claim` would try, emptied and leased.

    Raises AdoptionRefused, with each name that was tried and why not, if none is free.
    """
    leases = Leases(server) if leases is None else leases
    passed_over: list[PassedOver] = []
    try:
        with administration(server) as connection:
            for attempt in range(1, _ATTEMPTS + 1):
                name = (
                    names.test_name(application, worker, attempt)
                    if exact is None
                    else names.exact_name(exact, worker, attempt)
                )
                entry = catalog.find(connection, name, limits)
                if entry is None or not _is_adopted(entry):
                    why = "is not adopted" if entry else "does not exist"
                    passed_over.append(PassedOver(name, why))
                    if entry is None:
                        break
                    continue
                lease = leases.take(name)
                if lease is None:
                    passed_over.append(PassedOver(name, "held by a live run"))
                    continue
                return _taken(server, lease, entry, tuple(passed_over), limits)
            raise _none_free(connection, passed_over)
    except BaseException:
        leases.close_if_unused()
        raise


def must_take_adopted(connection: Connection) -> bool:
    """Whether a run of this role uses adopted databases: it may create none, and was given some.

    Raises MayNotCreateDatabases if it may create none and was given none.
    """
    if admin.may_create_databases(connection):
        return False
    if adopted(connection):
        return True
    raise admin.may_not_create(connection)


def may_not_clone(connection: Connection) -> MayNotCreateDatabases:
    """The error for a test that asks for a clone where the run is in an adopted database."""
    error = admin.may_not_create(connection)
    error.headline = (
        "A clone is a database of its own, and the role may not create databases: this run is in "
        "one that its owner adopted."
    )
    return error


def contents(connection: Connection, limits: Limits = DEFAULT_LIMITS) -> list[Piece]:
    """What is in the database of *connection* beside PostgreSQL's own and others' extensions."""
    with limited(connection, "look into", connection.info.dbname, limits) as cursor:
        cursor.execute(_CONTENTS)
        return [Piece(*row) for row in cursor.fetchall()]


def _is_adopted(entry: Entry) -> bool:
    return entry.mark is not None and entry.mark.purpose == ADOPTED


def _require_adoptable(connection: Connection, name: str, entry: Entry | None) -> None:
    """Return if the database can be handed over as far as the server's catalog tells."""
    if entry is None:
        role = admin.role_of(connection)
        raise _refused(
            connection,
            name,
            f'There is no database "{name}" to adopt.',
            "Let somebody with the right create it for this role:\n  "
            + sql.SQL("CREATE DATABASE {} OWNER {};")
            .format(sql.Identifier(name), sql.Identifier(role))
            .as_string(connection),
        )
    if not entry.may_drop:
        raise _refused(
            connection,
            name,
            f'"{name}" belongs to {entry.owner}, and only its owner can hand it over.',
            f"Run the command as {entry.owner}, or make this role the owner.",
        )
    if name in _NEVER or entry.is_template:
        raise _refused(
            connection,
            name,
            f'"{name}" is a database that every server has, or a template.',
            "Prepare a database for tests alone, with a name that ends in _test.",
        )
    if entry.is_ours:
        raise _refused(
            connection,
            name,
            f'"{name}" was made by pgsandbox itself.',
            "There is nothing to adopt: runs create and drop it as they need it.",
        )


def _require_empty(inside: Connection, name: str, limits: Limits) -> None:
    found = contents(inside, limits)
    if not found:
        return
    shown = [Fact("contains", str(piece)) for piece in found[:_SHOWN]]
    if len(found) > _SHOWN:
        shown.append(Fact("contains", f"{len(found) - _SHOWN} more"))
    raise _refused(
        inside,
        name,
        f'"{name}" is not empty, so it was not adopted: every run would empty it.',
        "Prepare a new database for tests alone. If nobody needs what is in this one, drop it, have"
        " it created anew, and adopt that.",
        *shown,
    )


def _refused(
    connection: Connection, name: str, headline: str, remedy: str, *facts: Fact
) -> AdoptionRefused:
    return AdoptionRefused(headline, facts=[url_fact(connection, name), *facts], remedy=remedy)


def _none_free(connection: Connection, passed_over: list[PassedOver]) -> AdoptionRefused:
    wanted = passed_over[-1].name if passed_over else "..."
    return AdoptionRefused(
        "The role may not create databases, and no adopted one is free for this run.",
        facts=[
            url_fact(connection, connection.info.dbname),
            *(Fact(each.name, each.reason) for each in passed_over[:_SHOWN]),
        ],
        remedy="Where another run holds it, wait for that one; each worker and each bind of this "
        "run needs one of its own. Or let somebody with the right create one more for "
        f"this role, and adopt it:\n  pgsandbox adopt {wanted}",
    )


def _comment(connection: Connection, name: str, text: str | None, limits: Limits) -> None:
    with limited(connection, "mark", name, limits) as cursor:
        cursor.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text))
        )


def _taken(
    server: Server, lease: Lease, entry: Entry, passed_over: tuple[PassedOver, ...], limits: Limits
) -> AdoptedDatabase:
    assert entry.mark is not None
    try:
        _empty(server, entry.name, entry.oid, limits)
    except BaseException:
        lease.release()
        raise
    return AdoptedDatabase(
        entry.name, server, lease, entry.mark, passed_over=passed_over, limits=limits
    )


def _empty(server: Server, name: str, oid: int, limits: Limits) -> None:
    """Drop everything in the adopted database *name* that `contents` finds.

    Every statement is a transaction of its own: what a killed run leaves half empty is emptied by
    the next. Raises NotATestDatabase if the database is not the adopted one any more, and
    DatabaseError if something resists, with its name.
    """
    with administration(server) as connection:  # before anybody logs in to another's database
        _require_adopted(connection, name, oid, limits)
    with closing(open_connection(server, name)) as inside:
        _require_adopted(inside, name, oid, limits)
        with limited(inside, "empty", name, limits) as cursor:
            _end_sessions(cursor)
            cursor.execute(
                "select gid from pg_catalog.pg_prepared_xacts where database = %s", (name,)
            )
            for (gid,) in cursor.fetchall():
                cursor.execute("ROLLBACK PREPARED %s", (gid,))
            for piece in contents(inside, limits):
                cursor.execute(_drop(piece))
            # A migration may have dropped it, and the next one expects it.
            cursor.execute("create schema if not exists public")
            cursor.execute(
                sql.SQL(
                    "ALTER DATABASE {name} RESET ALL; ALTER DATABASE {name} SET jit = off"
                ).format(name=sql.Identifier(name))
            )
        left = contents(inside, limits)
        if left:
            raise DatabaseError(
                f'The adopted database "{name}" could not be emptied.',
                facts=[
                    url_fact(inside, name),
                    *(Fact("left", str(each)) for each in left[:_SHOWN]),
                ],
                remedy="Drop what is left, or have the database created anew and adopt that.",
            )


def _require_adopted(connection: Connection, name: str, oid: int, limits: Limits) -> None:
    entry = catalog.find(connection, name, limits)
    if entry is None or not _is_adopted(entry) or entry.oid != oid:
        raise NotATestDatabase(
            f'"{name}" is no longer the database that was adopted, so nothing was changed.',
            facts=[url_fact(connection, name), Fact("mark", "none that names it")],
            remedy="Look at what it is now; `pgsandbox adopt` marks an empty one.",
        )


def _end_sessions(cursor: Cursor) -> None:
    """End the sessions of this role in the database: nobody but a dead run's can be in it.

    Where the role can log in to no other database, runs take their leases and do their
    administration in this one; such sessions are idle, hold no lock on a table, and are spared.
    """
    cursor.execute(
        "select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a"
        " where a.datname = current_database() and a.pid <> pg_catalog.pg_backend_pid()"
        " and pg_catalog.pg_has_role(a.usesysid, 'USAGE')"
        " and not (a.application_name ~ '^pgsandbox( lease .*)?$' and a.state = 'idle')"
    )


_DROPPED_AS = {"statistics object": "statistics"}


def _drop(piece: Piece) -> str:
    if piece.kind == "large object":
        return f"select pg_catalog.lo_unlink({int(piece.identity)})"
    if piece.kind == "default acl":
        return "select"  # what is left is told
    # The server has quoted the identity itself (manual, 9.27.5 pg_identify_object).
    return f"DROP {_DROPPED_AS.get(piece.kind, piece.kind)} IF EXISTS {piece.identity} CASCADE"


_CATALOGS = (
    *("pg_extension", "pg_namespace", "pg_class", "pg_type", "pg_proc", "pg_operator"),
    *("pg_opclass", "pg_opfamily", "pg_collation", "pg_conversion", "pg_cast", "pg_language"),
    *("pg_ts_config", "pg_ts_dict", "pg_ts_parser", "pg_ts_template", "pg_statistic_ext"),
    *("pg_foreign_data_wrapper", "pg_foreign_server", "pg_event_trigger", "pg_publication"),
    *("pg_am", "pg_transform", "pg_default_acl"),
)

# What initdb makes has an oid below 16384 (FirstNormalObjectId in access/transam.h); large objects
# may have any. What is part of something else depends on it internally, and a member of an
# extension on the extension (manual, 52.18 pg_depend). Extensions of other roles, and schemas of
# other roles that hold one, may stay; so may the schema public. Temporary objects go with their
# sessions.
_OBJECTS = " union all ".join(
    f"select {place}, '{name}'::regclass::oid, c.oid from pg_catalog.{name} c where c.oid >= 16384"  # noqa: S608 - names from the list above
    for place, name in enumerate(_CATALOGS)
)
_CONTENTS = f"""
    with object (place, classid, objid) as (
        {_OBJECTS} union all
        select {len(_CATALOGS)}, 'pg_largeobject'::regclass::oid, oid from pg_largeobject_metadata)
    select i.type, i.identity
      from object o, lateral pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
     where not exists (select from pg_catalog.pg_depend d
                        where d.classid = o.classid and d.objid = o.objid
                          and d.deptype in ('e', 'i'))
       and not exists (select from pg_catalog.pg_extension e
                        where e.oid = o.objid and o.classid = 'pg_extension'::regclass
                          and not pg_catalog.pg_has_role(e.extowner, 'USAGE'))
       and not exists (select from pg_catalog.pg_namespace n
                        where n.oid = o.objid and o.classid = 'pg_namespace'::regclass
                          and (n.nspname = 'public' or n.nspname ~ '^pg_(toast_)?temp_'
                               or not pg_catalog.pg_has_role(n.nspowner, 'USAGE')
                                  and exists (select from pg_catalog.pg_extension e
                                               where e.extnamespace = n.oid)))
       and coalesce(i.schema, '') !~ '^pg_(toast|temp)'
       and i.type not in ('index', 'toast table')
     order by o.place, i.type, i.identity
"""  # noqa: S608 - no value of anybody's is in it
