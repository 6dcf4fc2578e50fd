"""Who is alive: a session-level advisory lock for each database in use, and nothing else.

A run holds a *lease* on each of its databases: an advisory lock of two keys, a number of ours and a
hash of the database's name, in a session that lives as long as the run. The server itself frees it
when the session ends, however it ends (PostgreSQL manual, 13.3.5), so that no clock, process id or
pattern has to be asked whether a run is alive.

**Limits.** Advisory locks belong to the database of the session that takes them. Two runs that come
through different maintenance databases can both take the same lock. So a lease is taken in two
steps: take the lock, then look for it in ``pg_locks``, which shows those of all databases. Of two
that come at once, the later look sees both locks. At least one of them gives way; if each sees the
other, both do, and both go on to the next name. Deciding by a rule which of them may stay would be
wrong: the other one may have looked first, and stayed.

Session-level locks need a session: a pooler that hands each transaction to another session (in
PgBouncer ``pool_mode = transaction``) can't stand between.

A process forked from the run without ``exec`` inherits the lease's socket, and the lease then lasts
as long as that process.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pgsandbox.databases.connecting import Server, is_open, open_connection
from pgsandbox.databases.limits import Limits, limited
from pgsandbox.errors import DatabaseError

_CLASS = int.from_bytes(b"pgsb", "big")
_USES = int.from_bytes(b"pgsu", "big")

# An idle session must not be ended for being idle, and the server should notice within a minute
# that the machine of a run has gone. On a Unix socket the last three do nothing (manual, 20.3.2).
_SETTINGS = """
    set idle_session_timeout = 0;
    set tcp_keepalives_idle = 30;
    set tcp_keepalives_interval = 10;
    set tcp_keepalives_count = 3
"""

# objsubid 2: a lock of two keys (manual, 54.12).
_HOLDERS = """
    select l.objid::int8, l.pid
      from pg_catalog.pg_locks l
     where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.classid::int8 = %s
"""

_OWN = """
    select exists (
        select from pg_catalog.pg_locks l
         where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.classid::int8 = %s
           and l.objid::int8 = %s and l.pid = pg_catalog.pg_backend_pid())
"""
_SHOW = "pg_catalog.set_config('application_name', %s, false) is not null"
# The session is named for the lease if it gets it; "offset 0" has the lock taken once.
_TAKE = f"""
    select case when got then {_SHOW} else false end
      from (select pg_catalog.pg_try_advisory_lock(%s, %s) as got offset 0) l
"""  # noqa: S608 - no value of anybody's is in it

LIMITS = Limits(lock=3.0, statement=3.0)
"""No statement on a lease's connection waits for anything but the server's own process."""


@dataclass(frozen=True)
class Lease:
    """The right of this run to one database name, for as long as its connection lives."""

    name: str
    """The database's name."""
    leases: Leases = field(repr=False)
    """The connection's leases, of which this is one."""

    def is_held(self) -> bool:
        """Whether the server still holds the lease for us: it doesn't if the connection was cut."""
        return self.leases.holds(self.name)

    def release(self) -> None:
        """Let another run have the name. Doing so twice changes nothing."""
        self.leases.give_back(self.name)


class Leases:
    """The leases of one run, all on one connection to the maintenance database.

    The connection is made when the first lease is taken. Threads may share it.

    A template has many *users* besides: each holds a shared lock on its name (`use`). Whoever wants
    to replace or drop it takes the lease first and then looks for users; a user takes the shared
    lock first and then looks for the lease. So at least one of two that come at once sees the
    other, and gives way.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: Connection | None = None
        self._names: dict[int, str] = {}
        self._used: dict[int, str] = {}
        self._lock = threading.RLock()

    def take(self, name: str) -> Lease | None:
        """The lease on the database *name*, or None if a live run holds it, this one included."""
        key = key_of(name)
        with self._lock:
            connection = self._connected()
            if key in self._names:
                # The server would grant a session its own lock again.
                return None
            try:
                with limited(connection, "lease", name, LIMITS) as cursor:
                    cursor.execute(_TAKE, (self._title(name), _CLASS, _signed(key)))
                    if cursor.fetchone() != (True,):
                        return None
                    self._names[key] = name
                    if not _is_held_by_another(cursor, _CLASS, key):
                        return Lease(name, self)
            except BaseException:
                self.give_back(name)
                raise
            self.give_back(name)
            return None

    def use(self, name: str) -> bool:
        """Keep others from replacing or dropping the template *name*; False if one is at it now."""
        key = key_of(name)
        with self._lock:
            connection = self._connected()
            if key in self._used:
                if self._has_lock(connection, _USES, key):
                    return self._used[key] == name
                self._used.pop(key, None)  # the server was restarted, say
                connection = self._connected()
            try:
                with limited(connection, "use", name, LIMITS) as cursor:
                    cursor.execute(
                        "select pg_catalog.pg_advisory_lock_shared(%s, %s)", (_USES, _signed(key))
                    )
                    self._used[key] = name
                    if not _is_held_by_another(cursor, _CLASS, key):
                        return True
            except BaseException:
                self.stop_using(name)
                raise
            self.stop_using(name)
            return False

    def stop_using(self, name: str) -> None:
        """Let others replace or drop the template *name*, if it was used."""
        key = key_of(name)
        with self._lock:
            if self._used.get(key) == name:
                del self._used[key]
                self._execute("select pg_catalog.pg_advisory_unlock_shared(%s, %s)", _USES, key)

    def has_other_users(self, name: str) -> bool:
        """Whether another run uses the template *name*; asked by the holder of its lease."""
        with (
            self._lock,
            limited(self._connected(), "look up the users of", name, LIMITS) as cursor,
        ):
            return _is_held_by_another(cursor, _USES, key_of(name))

    def holds(self, name: str) -> bool:
        """Whether the server still holds the lease on *name* for this connection."""
        key = key_of(name)
        with self._lock:
            if self._connection is None or self._names.get(key) != name:
                return False
            return self._has_lock(self._connection, _CLASS, key)

    def give_back(self, name: str) -> None:
        """Release the lease on *name*, if it is held."""
        key = key_of(name)
        with self._lock:
            if self._names.get(key) == name:
                del self._names[key]
                self._execute("select pg_catalog.pg_advisory_unlock(%s, %s)", _CLASS, key)

    def _has_lock(self, connection: Connection, number: int, key: int) -> bool:
        """Whether the server has the lock for *connection*, which it has not after a restart."""
        try:
            with limited(connection, "look up its own leases of", "*", LIMITS) as cursor:
                cursor.execute(_OWN, (number, key))
                return cursor.fetchone() == (True,)
        except DatabaseError:
            return False

    def close_if_unused(self) -> None:
        """Close the connection if no lease is left on it."""
        with self._lock:
            if not self._names and not self._used:
                self.close()

    def close(self) -> None:
        """Release all leases and close the connection."""
        with self._lock:
            self._names.clear()
            self._used.clear()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """The connection that holds the leases, for a look that waits for nothing."""
        with self._lock:
            yield self._connected()

    def _connected(self) -> Connection:
        if self._connection is not None and not is_open(self._connection):
            self.close()
        if self._connection is None:
            self._connection = _connect(self._server)
        return self._connection

    def _execute(self, unlock: str, number: int, key: int) -> None:
        if self._connection is None:
            return
        try:
            with limited(self._connection, "release the lease of", "*", LIMITS) as cursor:
                cursor.execute(f"{unlock}, {_SHOW}", (number, _signed(key), self._title()))
        except DatabaseError:
            self.close()  # which releases what is left, in any case

    def _title(self, *more: str) -> str:
        """What tells administrators who look at the server's sessions what this one is for."""
        return f"pgsandbox lease {', '.join((*self._names.values(), *more))}".rstrip()


def is_leased(connection: Connection, name: str) -> bool:
    """Whether a live run holds the database *name*, through whichever maintenance database."""
    return key_of(name) in leased_keys(connection)


def leased_keys(connection: Connection) -> frozenset[int]:
    """The keys (`key_of`) of all names that live runs hold."""
    with limited(connection, "look up the leases of", "*") as cursor:
        cursor.execute(_HOLDERS, (_CLASS,))
        return frozenset(key for key, _ in cursor.fetchall())


def key_of(name: str) -> int:
    """The second key of the lock on *name*, as ``pg_locks.objid`` shows it: 32 bits, unsigned.

    Two names may share a key. Then one of them counts as held while the other is, which costs its
    run the next name and nobody a database.
    """
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def _signed(key: int) -> int:
    """*key* as the int4 that the lock functions take."""
    return key - (1 << 32) if key >= 1 << 31 else key


def _connect(server: Server) -> Connection:
    connection = open_connection(server)
    try:
        with limited(connection, "prepare the lease connection for", "*", LIMITS) as cursor:
            cursor.execute(_SETTINGS)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_held_by_another(cursor: Cursor, number: int, key: int) -> bool:
    """Asked in a statement of its own, after the lock (see above, Limits)."""
    cursor.execute(f"{_HOLDERS} and l.pid <> pg_catalog.pg_backend_pid()", (number,))
    return any(found == key for found, _ in cursor.fetchall())
