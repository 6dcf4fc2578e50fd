"""One database's life: claimed, used, healed if need be, and dropped or kept; or reaped.

In the order in which things happen to the database of one run:

1. `claim` tries one name after the other until it has the *lease* on one that is free. A database
   of that name which a dead run left is dropped; one that isn't ours, or that somebody kept, stays
   where it is, and the next name is tried.
2. The database is created and marked under the lease.
3. `OwnedDatabase.recreate` replaces it, under the same lease, when a test has damaged it.
4. `OwnedDatabase.drop`, or `keep`, ends its life and the lease.
5. If the run is killed at any instant, the server frees the lease, and what the run leaves is
   recognisable as ours: its mark names it, or its connection limit still does. The next `claim` of
   the name, or any `reap`, drops it.

Nothing is dropped that isn't under a lease of this process at that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from psycopg2.extensions import connection as Connection

from pgsandbox.databases import admin, naming, pg_database, replication
from pgsandbox.databases.connecting import Server, administration
from pgsandbox.databases.lease import Lease, Leases, key_of, leased_keys
from pgsandbox.databases.limits import DEFAULT_LIMITS, Limits, url_fact
from pgsandbox.databases.pg_database import Entry
from pgsandbox.errors import AdministrationBlocked, DatabaseError, Fact, LeaseLost, ServerError
from pgsandbox.guard import Mark

PURPOSE = "test"
"""What the databases are for that are claimed here; others have rules of their own."""
TEMPLATE = "template"
"""What the databases are for that are copied and never connected to (`templates`)."""

_ATTEMPTS = 1000
# Between a look at a name and CREATE DATABASE, the orphaned statement of a killed run may end.
_LOOKS = 5
# Each may have taken the whole time limit; set-up ends all the same.
_MOST_FAILURES = 2


@dataclass(frozen=True)
class PassedOver:
    """A name that was not free, and why: the reader wonders where a ``_2_test`` comes from."""

    name: str
    """The name."""
    reason: str
    """One clause: ``held by a live run``."""
    error: DatabaseError | None = None
    """What the server said, if taking the name was tried and failed."""


@dataclass(frozen=True)
class Leftover:
    """A database that pgsandbox made, as `leftovers` found it."""

    name: str
    """Its name."""
    mark: Mark | None
    """Its mark; None while it is unfinished."""
    is_leased: bool
    """Whether a live run holds it."""
    is_kept: bool
    """Whether somebody asked that no run removes it."""
    is_unfinished: bool
    """Whether its run died, or still is, between its creation and its mark."""
    role: str = ""
    """The role that owns it."""
    may_drop: bool = True
    """Whether this connection's role has that one's rights."""


@dataclass
class OwnedDatabase:
    """A test database of this run: marked as ours, and held by a lease until `drop` or `keep`."""

    name: str
    """Its name on the server."""
    server: Server
    """The server that it is on."""
    lease: Lease
    """What tells other runs that this one lives."""
    mark: Mark
    """Its mark, which names the very database: a later one of the same name has another oid."""
    passed_over: tuple[PassedOver, ...] = field(default=())
    """The names that were tried before, with the reason why each was not taken."""
    attempt: int = 1
    """The number of the attempt that gave it its name."""
    limits: Limits = DEFAULT_LIMITS
    """How long each administrative statement may take."""
    _has_ended: bool = field(default=False, init=False, repr=False)

    def drop(self) -> None:
        """Drop the database with all sessions in it, and end the lease. Does nothing when repeated.

        Nothing is dropped either if the lease was lost meanwhile (somebody ended its session) and
        another run has the name by now. Raises AdministrationBlocked if it takes too long: then the
        lease is ended all the same, and the next run drops the database.
        """
        if self._has_ended:
            return
        try:
            with administration(self.server) as connection:
                if self._still_holds():
                    remove(
                        self.server, connection, self.name, self.mark.oid, self.limits, self.lease
                    )
        finally:
            self._end()

    def keep(self) -> None:
        """Leave the database to people, marked as kept so that no run removes it; end the lease."""
        if self._has_ended:
            return
        try:
            with administration(self.server) as connection:
                self._require_held(connection)
                self.mark = admin.mark(
                    connection,
                    self.name,
                    self.mark.oid,
                    owner=self.mark.owner,
                    is_kept=True,
                    limits=self.limits,
                )
        finally:
            self._end()

    def is_proven(self) -> bool:
        """Whether the lease is held and the database of this name is the one that was made.

        A lease that was cut, as by a restart of the server, is taken again if it is free; another
        run may have come and gone in between, and have left, or have removed, a database of this
        name.
        """
        if self._has_ended:
            return False
        if self.lease.is_held():
            return True
        if not self._still_holds():
            return False
        with administration(self.server) as connection:
            entry = pg_database.find(connection, self.name)
        return entry is not None and entry.is_ours and entry.oid == self.mark.oid

    def recreate(self, template: str | None = None) -> None:
        """Replace the database by an empty one, or a copy of *template*, under the same lease.

        All sessions in it are ended. Raises LeaseLost if the database is no longer this run's:
        after `drop` or `keep`, or if the lease was lost and another run has taken the name.
        """
        with administration(self.server) as connection:
            self._require_held(connection)
            remove(self.server, connection, self.name, self.mark.oid, self.limits, self.lease)
            mark = _make(connection, self.name, self.mark.owner, template, self.limits)
            if mark is None:
                raise _lost(connection, self.name)
            self.mark = mark

    def _require_held(self, connection: Connection) -> None:
        if self._has_ended or not self._still_holds():
            raise _lost(connection, self.name)

    def _still_holds(self) -> bool:
        """Whether the name is still ours; a lease that was cut is taken again if it is free.

        The database of that name may be another one then, made by a run that came and went in
        between; whatever is done to it asks for its oid.
        """
        if self.lease.is_held():
            return True
        self.lease.release()
        lease = self.lease.leases.take(self.name)
        if lease is None:
            return False
        self.lease = lease
        return True

    def _end(self) -> None:
        self._has_ended = True
        self.lease.release()
        self.lease.leases.close_if_unused()


def claim(  # noqa: PLR0913 - all but two have a default, and each says one thing
    server: Server,
    application: str | None,
    *,
    exact: str | None = None,
    worker: str | None = None,
    owner: str = "",
    template: str | None = None,
    leases: Leases | None = None,
    first: int = 1,
    limits: Limits = DEFAULT_LIMITS,
) -> OwnedDatabase:
    """An empty, marked and leased database on *server*, under the first free of its names.

    The names come from the application's database name *application* (`names.test_name`), or, if
    given, from *exact*, which is the name that somebody wants the database to have. A name is not
    free if a live run holds it, if a database has it that isn't ours or that was kept, or if the
    left-over of a dead run can't be dropped. *owner* is for people who read the mark: the project's
    directory, say. *template* is a database of ours to copy, which nobody may be connected to;
    without it the database is empty. *leases* holds the leases of a run with several databases on
    one connection. *first* is the number of the first attempt, for a run that uses no name twice.

    Safe with any number of processes at once, killed at any instant. Raises MayNotCreateDatabases,
    AdministrationBlocked or another DatabaseError, and leaves nothing behind then.
    """
    leases = Leases(server) if leases is None else leases
    passed_over: list[PassedOver] = []
    try:
        with administration(server) as connection:
            admin.require_createdb(connection)
            for attempt in range(first, first + _ATTEMPTS):
                name = (
                    naming.test_name(application, worker, attempt)
                    if exact is None
                    else naming.exact_name(exact, worker, attempt)
                )
                lease = leases.take(name)
                if lease is None:
                    passed_over.append(PassedOver(name, "held by a live run"))
                    continue
                settled = _settle(server, connection, lease, owner, template, limits)
                if isinstance(settled, Mark):
                    return OwnedDatabase(
                        name, server, lease, settled, tuple(passed_over), attempt, limits
                    )
                passed_over.append(settled)
                failures = [skipped.error for skipped in passed_over if skipped.error]
                if len(failures) >= _MOST_FAILURES:
                    raise failures[-1]
            raise DatabaseError(
                f'No name is free for the test database: {_ATTEMPTS} were tried, to "{name}".',
                facts=[url_fact(connection, passed_over[0].name)]
                + [Fact(skipped.name, skipped.reason) for skipped in passed_over[:3]],
                remedy="Drop kept databases that nobody needs any more.",
            )
    except BaseException:
        leases.close_if_unused()
        raise


def reap(
    server: Server,
    *,
    include_kept: bool = False,
    on_error: Callable[[DatabaseError], None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> list[str]:
    """Drop the databases that dead runs left on *server*, and return their names.

    Those are the ones that are ours (marked or unfinished), held or used by no live run, not kept,
    and whose owner's rights this role has; all others are left untouched. One that can't be dropped
    stops no other: *on_error* is told, and without it the first error is raised at the end.
    """
    dropped: list[str] = []
    errors: list[DatabaseError] = []
    leases = Leases(server)
    try:
        with administration(server) as connection:
            for entry in pg_database.find_ours(connection):
                try:
                    if _reap_one(server, connection, leases, entry.name, include_kept, limits):
                        dropped.append(entry.name)
                except DatabaseError as error:
                    (on_error or errors.append)(error)
    finally:
        leases.close()
    if errors:
        raise errors[0]
    return dropped


def leftovers(server: Server) -> list[Leftover]:
    """All databases on *server* that pgsandbox made, by name, those of live runs included."""
    with administration(server) as connection:
        entries = pg_database.find_ours(connection)
        leased = leased_keys(connection)
    return [
        Leftover(
            name=entry.name,
            mark=entry.mark,
            is_leased=key_of(entry.name) in leased,
            is_kept=entry.mark is not None and entry.mark.is_kept,
            is_unfinished=entry.is_unfinished,
            role=entry.owner,
            may_drop=entry.may_drop,
        )
        for entry in entries
    ]


def _settle(
    server: Server,
    connection: Connection,
    lease: Lease,
    owner: str,
    template: str | None,
    limits: Limits,
) -> Mark | PassedOver:
    """The mark of a new database under the name of *lease*, or why there is none.

    The lease is held afterwards if there is a mark, and released if there is none.
    """
    name = lease.name
    mark: Mark | None = None
    try:
        for _ in range(_LOOKS):
            entry = pg_database.find(connection, name, limits)
            if entry is None:
                try:
                    mark = _make(connection, name, owner, template, limits)
                except AdministrationBlocked as error:
                    return PassedOver(name, "could not be created in time", error)
                if mark is not None:
                    return mark
            elif reason := _why_not_replaceable(entry):
                return PassedOver(name, reason)
            else:
                try:
                    remove(server, connection, name, entry.oid, limits, lease)
                except DatabaseError as error:
                    return PassedOver(name, "left over, and could not be dropped", error)
        return PassedOver(name, "created and dropped by others all the time")
    finally:
        if mark is None:
            lease.release()


def _reap_one(
    server: Server,
    connection: Connection,
    leases: Leases,
    name: str,
    include_kept: bool,
    limits: Limits,
) -> bool:
    lease = leases.take(name)
    if lease is None:
        return False
    try:
        # Looked at again, since its owner may have ended, or another one begun, in the meantime.
        entry = pg_database.find(connection, name, limits)
        if entry is None or _why_not_replaceable(entry, include_kept, TEMPLATE):
            return False
        if entry.mark and entry.mark.purpose == TEMPLATE and leases.has_other_users(name):
            return False
        return remove(server, connection, name, entry.oid, limits, lease)
    finally:
        lease.release()


def _why_not_replaceable(entry: Entry, include_kept: bool = False, *purposes: str) -> str:
    """Why a database of a leased name must stay, in one clause; nothing if it may be dropped."""
    if not entry.is_ours:
        return "not a database of pgsandbox, so left untouched"
    if entry.mark and entry.mark.is_kept and not include_kept:
        return "kept by an earlier run"
    if entry.mark and entry.mark.purpose not in (PURPOSE, *purposes):
        return f"a database of pgsandbox for another purpose: {entry.mark.purpose}"
    if not entry.may_drop:
        return f"left over, and only its owner {entry.owner} may drop it"
    return ""


def remove(
    server: Server,
    connection: Connection,
    name: str,
    oid: int,
    limits: Limits,
    lease: Lease,
) -> bool:
    """Drop the database *name*, of which *lease* is held, and end first what DROP refuses.

    Says whether it was there. The last thing before DROP is the question whether the server still
    holds the lease: after a restart it holds none, and another run may have the name.
    """
    found = admin.obstacles(connection, name, limits)
    if "prepared transactions" in found:
        # DROP refuses what can't be ended, and tells whose it is.
        with suppress(ServerError, DatabaseError), administration(server, name) as inside:
            admin.roll_back_prepared(inside, name, limits)
    if "subscriptions" in found:
        with suppress(ServerError, DatabaseError), administration(server, name) as inside:
            replication.drop_subscriptions(inside, name, limits)
    if "slots in use" in found:
        with suppress(DatabaseError):  # as above
            replication.end_slots(connection, name, limits)
    return admin.drop(connection, name, oid=oid, limits=limits, is_held=lease.is_held)


def _make(
    connection: Connection, name: str, owner: str, template: str | None, limits: Limits
) -> Mark | None:
    """Create and mark *name*; None if somebody else has created it meanwhile."""
    oid = admin.create(connection, name, limits, template=template)
    if oid is None:
        return None
    try:
        return admin.mark(connection, name, oid, owner=owner, purpose=PURPOSE, limits=limits)
    except BaseException:
        # If this fails as well, the next run recognises the database as ours and unfinished.
        with suppress(DatabaseError):
            admin.drop(connection, name, oid=oid, limits=limits)
        raise


def _lost(connection: Connection, name: str) -> LeaseLost:
    return LeaseLost(
        f'The database "{name}" is no longer held by this run, so nothing was done to it.',
        facts=[url_fact(connection, name), Fact("lease", "not held", "pg_locks")],
        remedy="Something ended the session that held it, and another run may have taken the name. "
        "Start the run again.",
    )
