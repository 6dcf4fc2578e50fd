"""Every administrative verb of the kit is tried against databases that are not its own.

The verbs are found by introspection: one that is new must be given an attack here, or be named
among those that only read.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace

import pytest

from pgsandbox import databases
from pgsandbox.databases import (
    admin,
    lifecycle,
    pg_database,
    replication,
    shared,
    templates,
)
from pgsandbox.databases.clone_pool import ClonePool, CloneSource
from pgsandbox.databases.lease import Leases
from pgsandbox.databases.lifecycle import OwnedDatabase
from pgsandbox.databases.limits import DEFAULT_LIMITS
from pgsandbox.databases.templates import Template
from pgsandbox.errors import PgSandboxError
from pgsandbox.guard import Mark
from tests.kit.integration.databases.conftest import PROGRAMS, until
from tests.kit.integration.databases.test_admin import FOREIGN, made, pasted, unmarked


def owned(server, name):
    """What a run would hold if it took the database *name* for its own."""
    with closing(server.connect()) as connection:
        entry = pg_database.find(connection, name)
        mark = Mark(database=name, oid=entry.oid, server=entry.server)
    leases = Leases(server)
    lease = until(lambda: leases.take(name))  # the server may still be ending who held it before
    return OwnedDatabase(name, server, lease, mark)


@dataclass
class TemplateSpecification:
    """A template that would be built in place of the database *name*, or from it."""

    name: str
    origin: str | None = None
    lasts: bool = False
    owner: str = ""

    def build(self, name):
        """Nothing can be built where nothing may be made."""
        raise AssertionError(name)

    def is_current(self, inputs):
        """Whatever it was made from."""
        return True


def obtain(server, specification):
    """Take the template of *specification*."""
    leases = Leases(server)
    try:
        templates.obtain(server, leases, specification)
    finally:
        leases.close()


def release(server, name):
    """Give up the database *name* as the last user of a template would."""
    with closing(server.connect()) as connection:
        oid = pg_database.find(connection, name).oid
    leases = Leases(server)
    leases.use(name)
    try:
        templates.release(server, leases, Template(name, oid, was_built=True, lasts=False))
    finally:
        leases.close()


def removed(server, connection, name):
    """Remove the database *name* under its lease."""
    leases = Leases(server)
    lease = leases.take(name)
    try:
        oid = pg_database.find(connection, name).oid
        lifecycle.remove(server, connection, name, oid, DEFAULT_LIMITS, lease)
    finally:
        leases.close()


def compared(server, connection, name):
    """Compare with a moment at which the database *name* was ours, and had other settings."""
    oid = pg_database.find(connection, name).oid
    before = shared.SharedState({}, {(name, oid): ["jit=on"]})
    now = shared.shared_state(connection)
    after = replace(now, settings={**now.settings, (name, oid): ["jit=off"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "shared_state", lambda *_: after)
        shared.changes(connection, before)


def copied(server, name, work):
    """Let *work* have a pool of copies of the database *name*, and stop it."""
    leases = Leases(server)
    pool = ClonePool(server, leases, [CloneSource(name, "copied")])
    try:
        work(pool)
    finally:
        problems = pool.stop()
        leases.close()
    for problem in problems:
        raise problem


def claim(server, name, **more):
    """Take a database for *name*, and give back whatever was taken instead."""
    lifecycle.claim(server, name.removesuffix("_test"), **more).drop()


ATTACKS = {
    "admin.create": [
        lambda server, connection, name: admin.create(connection, name),
        lambda server, connection, name: admin.create(connection, "copied_test", template=name),
    ],
    "admin.mark": [
        lambda server, connection, name: admin.mark(
            connection, name, pg_database.find(connection, name).oid
        ),
        lambda server, connection, name: admin.mark(
            connection, name, pg_database.find(connection, name).oid, is_kept=True
        ),
    ],
    "admin.drop": [
        lambda server, connection, name: admin.drop(connection, name),
        lambda server, connection, name: admin.drop(
            connection, name, oid=pg_database.find(connection, name).oid
        ),
    ],
    "admin.roll_back_prepared": [
        lambda server, connection, name: admin.roll_back_prepared(connection, name)
    ],
    "lifecycle.claim": [
        lambda server, connection, name: claim(server, name),
        lambda server, connection, name: claim(server, name, exact=name),
    ],
    "lifecycle.remove": [removed],
    "lifecycle.reap": [
        lambda server, connection, name: lifecycle.reap(server),
        lambda server, connection, name: lifecycle.reap(server, include_kept=True),
    ],
    "lifecycle.OwnedDatabase.drop": [lambda server, connection, name: owned(server, name).drop()],
    "lifecycle.OwnedDatabase.keep": [lambda server, connection, name: owned(server, name).keep()],
    "lifecycle.OwnedDatabase.recreate": [
        lambda server, connection, name: owned(server, name).recreate(),
        lambda server, connection, name: owned(server, name).recreate(name),
    ],
    "replication.drop_subscriptions": [
        lambda server, connection, name: replication.drop_subscriptions(connection, name)
    ],
    "replication.end_slots": [
        lambda server, connection, name: replication.end_slots(connection, name)
    ],
    "clone_pool.ClonePool.take": [
        lambda server, connection, name: copied(server, name, ClonePool.take)
    ],
    "clone_pool.ClonePool.expect": [
        lambda server, connection, name: copied(server, name, lambda pool: pool.expect(2))
    ],
    "clone_pool.ClonePool.give_back": [
        lambda server, connection, name: copied(
            server, name, lambda pool: pool.give_back([owned(server, name)])
        )
    ],
    "shared.changes": [compared],
    "clone_pool.ClonePool.stop": [
        lambda server, connection, name: copied(server, name, ClonePool.stop)
    ],
    "templates.obtain": [
        lambda server, connection, name: obtain(server, TemplateSpecification(name)),
        lambda server, connection, name: obtain(server, TemplateSpecification(name, lasts=True)),
        lambda server, connection, name: obtain(
            server, TemplateSpecification("copied_test", origin=name)
        ),
    ],
    "templates.release": [lambda server, connection, name: release(server, name)],
}
"""For each verb that changes databases, the calls that aim it at the database *name*."""

READS = {
    "connecting.HeldServer.close",
    "connecting.HeldServer.connect",
    "connecting.HeldServer.connection",
    "connecting.Server.connect",
    "connecting.administration",
    "admin.exists",
    "admin.obstacles",
    "connecting.is_open",
    "admin.may_create_databases",
    "admin.missing_createdb",
    "connecting.open_connection",
    "admin.proven",
    "admin.read_mark",
    "admin.require_createdb",
    "admin.role_of",
    "capacity.capacity_of",
    "capacity.most_processes",
    "capacity.needed",
    "capacity.require_enough",
    "pg_database.find",
    "pg_database.find_ours",
    "pg_database.identity_of",
    "lease.Lease.is_held",
    "lease.Lease.release",
    "lease.Leases.close",
    "lease.Leases.connected",
    "lease.Leases.close_if_unused",
    "lease.Leases.give_back",
    "lease.Leases.has_other_users",
    "lease.Leases.holds",
    "lease.Leases.stop_using",
    "lease.Leases.take",
    "lease.Leases.use",
    "lease.is_leased",
    "lease.key_of",
    "lease.leased_keys",
    "lifecycle.OwnedDatabase.is_proven",
    "shared.left_changed",
    "shared.shared_state",
    "clone_pool.ClonePool.check",
    "lifecycle.leftovers",
    "limits.limited",
    "limits.url_fact",
    "naming.exact_name",
    "naming.fits",
    "naming.template_name",
    "naming.test_name",
    "second_proof.limit_of",
    "commits.commits",
    "commits.have_changed_shared",
    "commits.log_position",
    "second_proof.mark_behind",
    "templates.TemplateSpecification.build",
    "templates.TemplateSpecification.is_current",
    "templates.circumstances",
}
"""Those that change no database: they look, take advisory locks, or know nothing of a server."""


def verbs() -> Iterator[str]:
    """The public functions and methods of every module of ``pgsandbox.databases``."""
    for module in pkgutil.iter_modules(databases.__path__):
        found = importlib.import_module(f"{databases.__name__}.{module.name}")
        for name, value in public(vars(found)):
            if getattr(value, "__module__", None) != found.__name__:
                continue
            if inspect.isfunction(value):
                yield f"{module.name}.{name}"
            elif inspect.isclass(value):
                yield from (
                    f"{module.name}.{name}.{method}"
                    for method, function in public(vars(value))
                    if inspect.isfunction(function)
                )


def public(names) -> Iterator[tuple[str, object]]:
    """Those of *names* that do not begin with an underscore."""
    return ((name, value) for name, value in names.items() if not name.startswith("_"))


def test_every_verb_is_known():
    """One that changes databases and has no attack would escape the tests below."""
    assert set(verbs()) == set(ATTACKS) | READS


def named_by_its_owner(prepare):
    """The same victim under a name that says production."""

    def renamed(server, connection):
        prepare(server, connection)
        server.run("alter database shop_test rename to shop")

    renamed.__name__ = f"{prepare.__name__}, as production"
    return renamed


def dumped(server, connection):
    """What pg_dump --create and psql make of a test database: its comment comes along."""
    made(connection, "shop_test")
    programs = PROGRAMS[str(connection.server_version // 10000)]
    to = ["-h", server.directory, "-U", server.role]
    dump = subprocess.run(
        [programs / "pg_dump", *to, "--create", "shop_test"], check=True, capture_output=True
    )
    admin.drop(connection, "shop_test")
    subprocess.run(
        [programs / "psql", *to, "-q", "-v", "ON_ERROR_STOP=1", "postgres"],
        input=dump.stdout,
        check=True,
        capture_output=True,
    )
    assert "pgsandbox 1" in pg_database.find(connection, "shop_test").comment


VICTIMS = [*FOREIGN, dumped, *map(named_by_its_owner, [unmarked, pasted, dumped])]

LOOK = """
    select d.*, shobj_description(d.oid, 'pg_database'), s.setconfig,
           t.sessions, t.xact_commit, t.xact_rollback
      from pg_database d
      join pg_stat_database t on t.datid = d.oid
      left join pg_db_role_setting s on s.setdatabase = d.oid
     where d.datname not in ('postgres', 'template0', 'template1')
"""


@pytest.mark.parametrize("prepare", VICTIMS, ids=lambda prepare: prepare.__name__)
def test_no_verb_touches_what_is_not_ours(server, connection, prepare, wait_until):
    """Neither its row in the catalog changes, nor its comment, nor the count of its sessions."""
    prepare(server, connection)
    (name,) = server.databases()
    fill(server, name)
    inside = f"select from pg_stat_activity where datname = '{name}'"
    wait_until(lambda: not server.run(inside))
    before = server.run(LOOK)

    for attack in (each for attacks in ATTACKS.values() for each in attacks):
        with suppress(PgSandboxError):
            attack(server, connection, name)
    wait_until(lambda: not server.run(inside))
    assert server.run(LOOK) == before
    assert content(server, name) == [("kept",)]


def fill(server, name):
    """Give the database *name* a table with a row, whether or not it lets anybody in."""
    server.run("update pg_database set datallowconn = true")
    server.run("create table of_somebody as select 'kept' as word", database=name)
    server.run("update pg_database set datallowconn = false where datistemplate")


def content(server, name):
    """The rows of that table."""
    server.run("update pg_database set datallowconn = true")
    return server.run("table of_somebody", database=name)
