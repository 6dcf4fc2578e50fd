"""Databases that are built once and copied many times.

In the order in which things happen to a template:

1. `obtain` looks at its address, which the caller has made from everything that the result depends
   on. Whoever comes first takes the *lease* on that name and builds; all others wait for it.
2. It is published in one statement: the mark, and the end of all connections to it. Until then it
   is an unfinished database like any other, and if its builder dies, the next one drops it.
3. Each run that copies it holds a shared lock on its name (`Leases.use`), so that nobody replaces
   or drops it meanwhile.
4. `release` drops it with the last user's run, unless it is to last. One that lasts is dropped when
   there are more than `QUOTA`, the least recently used first.

A template that lasts is believed only if its inputs still are what they were: the mark has them,
and the caller judges (`TemplateSpecification.is_current`).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import psycopg2
from psycopg2.extensions import connection as Connection

from pgsandbox.databases import admin, pg_database
from pgsandbox.databases.connecting import Server, administration
from pgsandbox.databases.lease import Lease, Leases
from pgsandbox.databases.lifecycle import TEMPLATE, remove
from pgsandbox.databases.limits import DEFAULT_LIMITS, Limits, limited
from pgsandbox.databases.pg_database import Entry
from pgsandbox.errors import DatabaseError

QUOTA = 10
"""How many templates that last a role has on one server."""

_TIMEOUT = 300.0
_STANDSTILL = 12.0
_PAUSE = 0.02


class TemplateSpecification(Protocol):
    """How a template is made, and what its result depends on."""

    name: str
    """The template's name, which holds its address."""
    owner: str
    """For people who read the mark: the project's directory."""
    lasts: bool
    """Whether it is to stay for later runs."""
    origin: str | None
    """A database of this run to copy, without sessions; without it the build begins empty."""

    def build(self, name: str) -> str | None:
        """Build the schema in the new database *name*, and leave no connection open.

        Returns what it was built from, for `is_current` of a later run; None if that can't be told,
        so that no later run may use it.
        """

    def is_current(self, inputs: str) -> bool:
        """Whether what *inputs* describe is what a build would find now."""


@dataclass(frozen=True)
class Template:
    """A published template that this run may copy until it releases it."""

    name: str
    """Its name."""
    oid: int
    """Its oid."""
    was_built: bool
    """Whether this run built it, and found none."""
    lasts: bool
    """Whether it stays for later runs."""


def obtain(
    server: Server,
    leases: Leases,
    specification: TemplateSpecification,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> Template | None:
    """The template of *specification*, built by this run or by another one; held until `release`.

    None if there can't be one now: its name is taken by somebody else, another run still uses one
    that has become outdated, or another one builds it for longer than five minutes, or does nothing
    in it for 12 seconds. Raises what the specification's ``build`` raises, and leaves nothing
    behind then.
    """
    began = moved = time.monotonic()
    seen: list[tuple[object, ...]] = []
    with administration(server) as connection:
        while time.monotonic() - moved < _STANDSTILL and time.monotonic() - began < _TIMEOUT:
            if leases.use(specification.name):
                entry = pg_database.find(connection, specification.name)
                if entry is not None and _is_usable(entry, specification):
                    return _renewed(connection, entry, specification, limits)
                leases.stop_using(specification.name)
            lease = leases.take(specification.name)
            if lease is not None:
                break
            activity = _activity(connection, specification.name, limits)
            if activity != seen:
                seen, moved = activity, time.monotonic()
            time.sleep(_PAUSE)
        else:
            return None
        try:
            return _build(server, connection, lease, specification, limits)
        finally:
            lease.release()


def release(
    server: Server, leases: Leases, template: Template, *, limits: Limits = DEFAULT_LIMITS
) -> None:
    """Let others drop *template*, and drop it if this was its last user and it does not last."""
    leases.stop_using(template.name)
    if template.lasts:
        return
    lease = leases.take(template.name)
    if lease is None:
        return
    try:
        with administration(server) as connection:
            entry = pg_database.find(connection, template.name)
            is_it = entry is not None and entry.oid == template.oid and entry.mark is not None
            if is_it and not leases.has_other_users(template.name):
                remove(server, connection, template.name, template.oid, limits, lease)
    finally:
        lease.release()


def circumstances(connection: Connection) -> list[tuple[str, str]]:
    """What of the server, the role and their settings a build's result depends on, by name."""
    with limited(connection, "look at the server for", "*") as cursor:
        cursor.execute(_CIRCUMSTANCES)
        return [(str(name), str(value)) for name, value in cursor.fetchall()]


_CIRCUMSTANCES = """
    select 'version', pg_catalog.version()
    union all
    select 'role', current_user::text || ' ' || rolsuper::text
      from pg_catalog.pg_roles where rolname = current_user
    union all
    select 'extension ' || name, default_version from pg_catalog.pg_available_extensions
    union all
    select 'setting ' || name, setting from pg_catalog.pg_settings
     where context in ('user', 'superuser') and source <> 'default'
       and name not in ('application_name', 'lock_timeout', 'statement_timeout',
                        'default_transaction_read_only')
    union all
    select 'locale', (pg_catalog.to_jsonb(d) - 'datfrozenxid' - 'datminmxid' - 'oid')::text
      from pg_catalog.pg_database d where datname = 'template1'
"""


# Statistics of the database, and what each session in it began when (manual, 27.2).
_ACTIVITY = """
    select d.oid::int8, d.datconnlimit, s.xact_commit + s.xact_rollback, s.blks_read + s.blks_hit,
           a.pid, a.state, a.query_start::text, a.state_change::text
      from pg_catalog.pg_database d
      left join pg_catalog.pg_stat_database s on s.datid = d.oid
      left join pg_catalog.pg_stat_activity a on a.datid = d.oid
     where d.datname = %s order by a.pid
"""


def _activity(connection: Connection, name: str, limits: Limits) -> list[tuple[object, ...]]:
    """What can be seen of a build in the database *name*: it differs while something goes on."""
    with limited(connection, "look at the build of", name, limits) as cursor:
        cursor.execute(_ACTIVITY, (name,))
        return cursor.fetchall()


def _is_usable(entry: Entry, specification: TemplateSpecification) -> bool:
    mark = entry.mark
    return (
        mark is not None
        and mark.purpose == TEMPLATE
        and entry.may_drop
        and (not specification.lasts or (mark.is_kept and specification.is_current(mark.inputs)))
    )


def _renewed(
    connection: Connection, entry: Entry, specification: TemplateSpecification, limits: Limits
) -> Template:
    """The template of *entry*, with the time of its use written down if it lasts."""
    assert entry.mark is not None
    lasts = entry.mark.is_kept
    if lasts:
        # Two runs may write it at once; one time is as good as the other.
        with suppress(DatabaseError):
            _mark(
                connection, entry.name, entry.oid, specification, entry.mark.inputs, limits, lasts
            )
    _end_sessions(connection, entry.oid)
    return Template(entry.name, entry.oid, was_built=False, lasts=lasts)


def _build(
    server: Server,
    connection: Connection,
    lease: Lease,
    specification: TemplateSpecification,
    limits: Limits,
) -> Template | None:
    name = specification.name
    entry = pg_database.find(connection, name)
    if entry is not None:
        if _is_usable(entry, specification):  # published after the look without the lease
            return (
                _renewed(connection, entry, specification, limits)
                if lease.leases.use(name)
                else None
            )
        if not _may_replace(entry) or lease.leases.has_other_users(name):
            return None
        remove(server, connection, name, entry.oid, limits, lease)
    oid = admin.create(connection, name, limits, template=specification.origin)
    if oid is None:
        return None
    try:
        inputs = specification.build(name)
        lasts = specification.lasts and inputs is not None
        _mark(connection, name, oid, specification, inputs or "", limits, lasts)
    except BaseException:
        # If this fails as well, the next run recognises the database as ours and unfinished.
        with suppress(DatabaseError):
            admin.drop(connection, name, oid=oid, limits=limits)
        raise
    _end_sessions(connection, oid)
    lease.leases.use(name)  # nobody else has the lease
    if lasts:
        _keep_to_the_quota(server, connection, lease.leases, name, limits)
    return Template(name, oid, was_built=True, lasts=lasts)


def _may_replace(entry: Entry) -> bool:
    """Whether a database of the leased name is an outdated template, or what a dead run left."""
    purpose = entry.mark.purpose if entry.mark else TEMPLATE
    return entry.is_ours and purpose == TEMPLATE and entry.may_drop


def _mark(
    connection: Connection,
    name: str,
    oid: int,
    specification: TemplateSpecification,
    inputs: str,
    limits: Limits,
    lasts: bool,
) -> None:
    admin.mark(
        connection,
        name,
        oid,
        owner=specification.owner,
        purpose=TEMPLATE,
        is_kept=lasts,
        inputs=inputs,
        limits=limits,
    )


def _end_sessions(connection: Connection, oid: int) -> None:
    """End the sessions in the template from before it was published: a copy would wait for them."""
    with suppress(psycopg2.Error), connection.cursor() as cursor:
        cursor.execute(
            "select pg_catalog.pg_terminate_backend(pid, 1000) from pg_catalog.pg_stat_activity"
            " where datid = %s and pid <> pg_catalog.pg_backend_pid()",
            (oid,),
        )


def _keep_to_the_quota(
    server: Server, connection: Connection, leases: Leases, newest: str, limits: Limits
) -> None:
    """Drop the least recently used of too many templates that last, but none that is in use."""
    lasting = [
        entry
        for entry in pg_database.find_ours(connection)
        if entry.mark and entry.mark.purpose == TEMPLATE and entry.mark.is_kept and entry.may_drop
    ]
    lasting.sort(key=lambda entry: entry.mark.used if entry.mark else "", reverse=True)
    for entry in lasting[QUOTA:]:
        lease = leases.take(entry.name) if entry.name != newest else None
        if lease is None:
            continue
        try:
            if not leases.has_other_users(entry.name):
                with suppress(DatabaseError):
                    remove(server, connection, entry.name, entry.oid, limits, lease)
        finally:
            lease.release()
