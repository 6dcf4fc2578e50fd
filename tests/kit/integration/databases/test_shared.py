"""What all databases of a server share is the same after a clone test, or the test is told."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace

import psycopg2
import pytest

from pgsandbox.databases import claim, shared
from pgsandbox.databases.commits import have_changed_shared
from pgsandbox.databases.shared import changes, left_changed, shared_state

CHANGES = {
    "a role": ("create role intruder", "role intruder: is new"),
    "a role's rights": ("alter role worker superuser", "role worker: rolsuper: False -> True"),
    "a role's password": ("alter role worker password 'tiger'", "worker: its password was changed"),
    "a role's settings": ("alter role worker set work_mem = '9MB'", "work_mem=9MB"),
    "a role that is gone": ("drop role worker", "role worker: is gone"),
    "a membership": ("grant pg_monitor to worker", "membership worker in pg_monitor: is new"),
    "a database": ("create database intruder", "database intruder: is new"),
    "a database that is gone": ("drop database production", "database production: is gone"),
    "another one of its name": (
        "drop database production; create database production",
        "database production: was dropped, and made anew",
    ),
    "its settings": (
        "alter database production set default_transaction_read_only = on",
        "default_transaction_read_only=on",
    ),
    "a role's settings in it": (
        "alter role worker in database production set work_mem = '9MB'",
        "settings of a role in a database",
    ),
    "its privileges": ("revoke connect on database production from public", "datacl: None -> "),
    "its owner": ("alter database production owner to worker", "datdba: "),
    "its comment": ("comment on database production is 'mine'", "comment: None -> mine"),
    "settings of all databases": ("alter role all set work_mem = '9MB'", "all databases *: is new"),
    "a replication slot": (
        "select pg_create_physical_replication_slot('intruder')",
        "replication slot intruder: is new",
    ),
    "the configuration": ("alter system set work_mem = '9MB'", "work_mem = '9MB'"),
}
UNDO = [
    "alter system reset all",
    "alter role all reset all",
    "select pg_drop_replication_slot(slot_name) from pg_replication_slots",
    "alter database production owner to postgres",
    "drop owned by worker",
]


@pytest.fixture
def shop(server):
    """The server with a database and a role that are not ours; cleared up after the test."""
    server.run("create database production")
    server.run("create role worker")
    yield server
    for statement in UNDO:
        with suppress(psycopg2.errors.UndefinedObject, psycopg2.errors.InvalidCatalogName):
            server.run(statement)


def said(connection, found):
    """What an error about the changes *found* says, its columns closed up."""
    return " ".join(str(left_changed(connection, found)).split())


@pytest.mark.parametrize(("statements", "told"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_found(shop, connection, statements, told):
    """Whoever made it: the server does not tell."""
    before = shared_state(connection)
    for statement in statements.split("; "):
        shop.run(statement)
    found = changes(connection, before)

    assert told in said(connection, found)
    assert "tiger" not in said(connection, found)
    assert not any(each.is_put_back for each in found)


NOT_LOGGED = ["a replication slot", "the configuration"]
"""What no transaction does."""


@pytest.mark.parametrize(("statements", "told"), CHANGES.values(), ids=CHANGES)
def test_a_session_in_the_clone_has_made_it(shop, connection, statements, told):
    """The server's log says in which database a change was committed."""
    clone = claim(shop, "clone")
    before = shared_state(connection)
    for statement in statements.split("; "):
        shop.run(statement, database=clone.name)
    found = changes(connection, before, clones=[clone.mark.oid])

    assert told in said(connection, found)
    clone.drop()


@pytest.mark.parametrize(
    "statements",
    [each for name, (each, _) in CHANGES.items() if name not in NOT_LOGGED],
    ids=[name for name in CHANGES if name not in NOT_LOGGED],
)
def test_somebody_else_has_made_it(shop, connection, statements):
    """While the test wrote into its clone, whose tables are none of the others'."""
    clone = claim(shop, "clone")
    before = shared_state(connection)
    shop.run("create table items (id serial primary key)", database=clone.name)
    for statement in statements.split("; "):
        shop.run(statement)
    shop.run("drop table items", database=clone.name)

    assert changes(connection, before, clones=[clone.mark.oid]) == []
    clone.drop()


def test_the_log_is_read_across_its_files(shop, connection):
    """A test may write more than one of them holds, or the server begin another one."""
    clone = claim(shop, "clone")
    before = shared_state(connection)
    rows = "create table rows as select repeat('x', 1000) x from generate_series(1, 30000)"
    shop.run(rows, database=clone.name)
    shop.run("select pg_switch_wal()")
    shop.run("create role stranger")
    innocent = changes(connection, before, clones=[clone.mark.oid])
    shop.run(rows.replace("table rows", "table more"), database=clone.name)
    shop.run("create role intruder", database=clone.name)
    found = changes(connection, before, clones=[clone.mark.oid])

    assert innocent == []
    assert "role intruder: is new" in said(connection, found)
    shop.run("drop role stranger")
    clone.drop()


@pytest.fixture
def late_writer(shop):
    """The server, whose log stays in memory for ten seconds unless a commit waits for its file."""
    shop.run("alter system set wal_writer_delay = '10s'")
    shop.run("alter system set synchronous_commit = off")
    shop.run("select pg_reload_conf()")
    yield shop
    shop.run("alter system reset wal_writer_delay")
    shop.run("alter system reset synchronous_commit")
    shop.run("select pg_reload_conf()")


def test_a_commit_that_nobody_waited_for_is_found(late_writer, connection):
    """Its record is not in the log's files when the test ends."""
    clone = claim(late_writer, "clone")
    for number in range(10):
        before = shared_state(connection)
        late_writer.run(f"create role intruder_{number}", database=clone.name)
        found = changes(connection, before, clones=[clone.mark.oid])

        assert [each.name for each in found] == [f"intruder_{number}"]
    clone.drop()


def test_a_file_of_the_log_that_is_gone_proves_nothing(shop, connection):
    """Then whoever has the right to it may have done it."""
    clone = claim(shop, "clone")
    before = shared_state(connection)
    gone = replace(before, log=replace(before.log, place=0))  # no cluster's log begins there
    shop.run("create role intruder")

    assert have_changed_shared(connection, [clone.mark.oid], gone.log) is None
    assert len(changes(connection, gone, clones=[clone.mark.oid])) == 1
    clone.drop()


def test_a_role_without_rights_has_not_done_it(shop, maker):
    """Nobody can make roles, or somebody else's databases, who may not."""
    clone = claim(shop, "clone")
    with closing(maker.connect()) as connection:
        before = shared_state(connection)
        shop.run("create role intruder")
        shop.run("create database intruder")
        strange = changes(connection, before, clones=[clone.mark.oid])
        connection.cursor().execute("create database its_own")
        (own,) = changes(connection, before, clones=[clone.mark.oid])

    assert strange == []
    assert (own.kind, own.name) == ("database", "its_own")
    shop.run("drop database its_own")
    shop.run("drop database intruder")
    clone.drop()


def test_settings_of_the_clone_go_with_it(shop, connection):
    """They are nobody else's."""
    clone = claim(shop, "clone")
    before = shared_state(connection)
    shop.run(f"alter database {clone.name} set work_mem = '9MB'", database=clone.name)

    assert changes(connection, before, clones=[clone.mark.oid]) == []
    clone.drop()


def test_what_was_put_back_is_no_change(shop, connection):
    """A test may do what it likes, as long as it leaves no trace."""
    before = shared_state(connection)
    shop.run("create role intruder")
    shop.run("alter system set work_mem = '9MB'")
    shop.run("alter system reset work_mem")
    shop.run("drop role intruder")

    assert changes(connection, before) == []


def test_what_runs_do_is_no_change(shop, connection):
    """Other runs create, mark, keep and drop databases all the time."""
    gone = claim(shop, "gone")
    before = shared_state(connection)
    gone.drop()
    owned = claim(shop, "shop")
    claim(shop, "kept").keep()

    assert changes(connection, before) == []
    owned.drop()


def test_settings_of_our_databases_are_put_back(shop, connection):
    """They bear our mark."""
    owned = claim(shop, "shop")
    before = shared_state(connection)
    shop.run("alter database shop_test set work_mem = '9MB'")
    shop.run("alter database shop_test reset jit")
    (found,) = changes(connection, before)

    assert found.is_put_back
    assert changes(connection, before) == []
    assert shop.run("show jit", database="shop_test") == [("off",)]
    owned.drop()


def test_a_role_without_rights_sees_what_it_may(shop, maker):
    """Passwords and the configuration are for superusers; roles and databases are for all."""
    with closing(maker.connect()) as connection:
        before = shared_state(connection)
        shop.run("create role intruder")

        assert [str(each.name) for each in changes(connection, before)] == ["intruder"]


def test_the_message_is_bounded(connection):
    """A test may leave a hundred roles."""
    many = [shared.Change("role", f"r{number}", "is new") for number in range(100)]

    assert "90 more" in said(connection, many)
