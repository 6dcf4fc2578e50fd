"""How many connections a server has left, and how many a run needs: reckoned before it begins.

Pure arithmetic but for `capacity_of`, which asks the server. A run that needs more than there are
would meet "too many clients" in the middle of a test, in whatever words its driver has for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pgsandbox.databases.limits import limited
from pgsandbox.errors import Fact, TooFewConnections

HELD_BY_A_PROCESS = 1
"""The connection that holds the leases of a process that runs tests."""
HELD_PER_DATABASE = 1
"""The connection that holds its sandboxed test, for each of its databases."""
FOR_ADMINISTRATION = 1
"""Connections that a run opens and closes in between, beside those that it holds."""
POOL_OF_A_CLONE = 15
"""What one engine with SQLAlchemy's default pool may open: pool_size 5 and max_overflow 10."""


@dataclass(frozen=True)
class Capacity:
    """The connections of a server, for one role, at one moment."""

    most: int
    """``max_connections``."""
    reserved: int
    """Those kept for superusers and for roles with pg_use_reserved_connections; 0 for these."""
    in_use: int
    """Those that are open, ours left out."""
    most_of_role: int | None = None
    """The role's own limit, or None if it has none."""
    in_use_by_role: int = 0
    """Those that the role has open, ours left out."""

    @property
    def free(self) -> int:
        """How many the role can open now."""
        free = self.most - self.reserved - self.in_use
        if self.most_of_role is not None:
            free = min(free, self.most_of_role - self.in_use_by_role)
        return max(free, 0)


def needed(processes: int, databases: int) -> int:
    """How many connections *processes* that run tests hold, each with that many *databases*."""
    return processes * _held(databases) + FOR_ADMINISTRATION


def most_processes(free: int, databases: int) -> int:
    """How many processes *free* connections are enough for."""
    return max(0, (free - FOR_ADMINISTRATION) // _held(databases))


def require_enough(capacity: Capacity, processes: int, databases: int) -> None:
    """Return if *capacity* is enough for the run; else raise TooFewConnections with the sum."""
    wanted = needed(processes, databases)
    if wanted <= capacity.free:
        return
    fits = most_processes(capacity.free, databases)
    each = "the leases, and a sandbox" + (f" for each of {databases} databases" * (databases > 1))
    facts = [
        Fact("needed", f"{wanted}", f"{processes} x {_held(databases)} + 1: {each}"),
        Fact("free", f"{capacity.free}"),
        Fact("max_connections", f"{capacity.most}", "pg_settings"),
        Fact("reserved", f"{capacity.reserved}", "superuser_reserved_connections and others"),
        Fact("in use", f"{capacity.in_use}", "pg_stat_activity"),
    ]
    if capacity.most_of_role is not None:
        own = f"{capacity.most_of_role}, of which {capacity.in_use_by_role} are in use"
        facts.append(Fact("role's own limit", own, "pg_roles"))
    how = f"Run {fits} of them (-n {fits})" if fits else "End other sessions"
    noun = "process" if processes == 1 else "processes"
    raise TooFewConnections(
        f"The run needs {wanted} connections for {processes} {noun} with tests, and the server has "
        f"{capacity.free} left.",
        facts=facts,
        remedy=f"{how}, or raise max_connections.",
    )


def _held(databases: int) -> int:
    return HELD_BY_A_PROCESS + databases * HELD_PER_DATABASE


# What the role may not see of others' sessions is null (manual, 27.2.3), so that a session counts
# unless it says that it is none of a client.
_CAPACITY = """
    select current_setting('max_connections')::int,
           case when r.rolsuper then 0
                else current_setting('superuser_reserved_connections')::int
                     + coalesce(current_setting('reserved_connections', true), '0')::int end,
           (select count(*)::int - 1 from pg_catalog.pg_stat_activity a
             where a.usesysid is not null
               and coalesce(a.backend_type, 'client backend') = 'client backend'),
           nullif(r.rolconnlimit, -1),
           (select count(*)::int - 1 from pg_catalog.pg_stat_activity a where a.usesysid = r.oid)
      from pg_catalog.pg_roles r
     where r.rolname = session_user
"""


def capacity_of(connection: Connection) -> Capacity:
    """The capacity of the server for the role of *connection*, which is not counted itself."""
    with limited(connection, "count the connections of", "*") as cursor:
        cursor.execute(_CAPACITY)
        row = cursor.fetchone()
    assert row is not None  # the session's own role
    return Capacity(*row)
