"""A run gets a database of its own whatever stands there, and leaves none behind."""

from __future__ import annotations

from contextlib import closing

import pytest

from pgsandbox.databases import (
    Leases,
    Leftover,
    admin,
    claim,
    leftovers,
    lifecycle,
    pg_database,
    reap,
)
from pgsandbox.databases.lease import is_leased
from pgsandbox.errors import (
    AdministrationBlocked,
    DatabaseError,
    LeaseLost,
    MayNotCreateDatabases,
    NotATestDatabase,
    ServerError,
)
from tests.kit.integration.databases.conftest import HURRIED
from tests.kit.integration.databases.test_admin import FOREIGN, TRICKY_NAMES, told


def killed(server, connection, name="shop_test"):
    """What a killed run leaves: its marked database, and no lease."""
    oid = admin.create(connection, name)
    admin.mark(connection, name, oid, owner="a dead run")
    server.run("create table remains ()", database=name)


def killed_early(server, connection, name="shop_test"):
    """What a run leaves that was killed between CREATE DATABASE and its mark."""
    admin.create(connection, name)


def killed_late(server, connection, name="shop_test"):
    """What a server leaves that went down in the middle of DROP DATABASE."""
    killed(server, connection, name)
    server.run(f"update pg_database set datconnlimit = -2 where datname = '{name}'")


def killed_prepared(server, connection, name="shop_test"):
    """What a run leaves that was killed between PREPARE TRANSACTION and COMMIT PREPARED."""
    killed(server, connection, name)
    server.run("begin; drop table remains; prepare transaction 'x'", database=name)


def killed_template(server, connection, name="shop_test"):
    """What a run leaves that had made its database a template."""
    killed(server, connection, name)
    server.run("alter database {} is_template true allow_connections false", name)


DEAD = [killed, killed_early, killed_late, killed_prepared, killed_template]


def test_a_claimed_database_is_empty_marked_and_leased(server, connection):
    """Its name comes from the application's database, and its mark says whose it is."""
    owned = claim(server, "shop", owner="/srv/shop")

    assert owned.name == "shop_test"
    assert owned.passed_over == ()
    assert owned.mark == admin.read_mark(connection, "shop_test")
    assert owned.mark.owner == "/srv/shop"
    assert is_leased(connection, "shop_test")
    assert server.run("select 1 from pg_class where oid >= 16384", database="shop_test") == []
    owned.drop()
    assert server.databases() == set()
    assert not is_leased(connection, "shop_test")


@pytest.mark.parametrize("name", TRICKY_NAMES)
def test_any_name_lives_a_whole_life(server, name):
    """Claimed, healed, listed, kept, reaped: the name is never taken for syntax."""
    owned = claim(server, None, exact=name)
    owned.recreate()
    owned.keep()

    assert owned.name == name
    assert [left.name for left in leftovers(server)] == [name]
    assert reap(server, include_kept=True) == [name]
    assert server.databases() == set()


def test_workers_and_wanted_names_are_part_of_the_name(server):
    """The rules are those of databases.naming."""
    owned = [
        claim(server, "shop", worker="gw0"),
        claim(server, "shop", worker="gw1"),
        claim(server, "ignored", exact="given_test", worker="gw0"),
        claim(server, "ignored", exact="given_test"),
    ]

    names = [database.name for database in owned]
    for database in owned:
        database.drop()
    assert names == ["shop_gw0_test", "shop_gw1_test", "given_gw0_test", "given_test"]
    assert server.databases() == set()


@pytest.mark.parametrize("dead", DEAD)
def test_the_database_of_a_dead_run_is_replaced(server, connection, dead):
    """Its name is used again, with nothing of it left."""
    dead(server, connection)
    oid = pg_database.find(connection, "shop_test").oid
    owned = claim(server, "shop")

    assert owned.name == "shop_test"
    assert owned.mark.oid != oid
    assert server.run("select to_regclass('remains')", database="shop_test") == [(None,)]
    owned.drop()
    assert server.databases() == set()


@pytest.mark.parametrize("dead", DEAD)
def test_the_database_of_a_dead_run_is_reaped(server, connection, dead):
    """Whatever instant it was killed at."""
    dead(server, connection)

    assert reap(server) == ["shop_test"]
    assert server.databases() == set()
    assert reap(server) == []


@pytest.mark.parametrize("prepare", FOREIGN)
def test_what_we_did_not_make_stays_and_the_next_name_is_taken(server, connection, prepare):
    """Neither a claim of its name nor a reaper touches it, and the reader is told."""
    prepare(server, connection)
    before = server.run("select * from pg_database where datname = 'shop_test'")
    owned = claim(server, "shop")

    assert owned.name == "shop_2_test"
    assert [skipped.name for skipped in owned.passed_over] == ["shop_test"]
    assert "not a database of pgsandbox" in owned.passed_over[0].reason
    assert reap(server) == []
    owned.drop()
    assert server.run("select * from pg_database where datname = 'shop_test'") == before


def test_a_kept_database_stays_and_the_next_name_is_taken(server):
    """Somebody wants to look at it; only who asks for the kept ones reaps it."""
    claim(server, "shop", owner="/srv/shop").keep()
    owned = claim(server, "shop")

    assert owned.name == "shop_2_test"
    assert owned.passed_over[0].reason == "kept by an earlier run"
    assert reap(server) == []
    owned.drop()
    assert server.databases() == {"shop_test"}
    assert leftovers(server)[0].mark.owner == "/srv/shop"
    assert reap(server, include_kept=True) == ["shop_test"]


def test_a_database_of_a_live_run_stays_and_the_next_name_is_taken(server, connection):
    """Reapers leave it alone as well, the one that asks for kept databases included."""
    first = claim(server, "shop")
    second = claim(server, "shop")

    assert second.name == "shop_2_test"
    assert second.passed_over[0].reason == "held by a live run"
    assert reap(server, include_kept=True) == []
    first.drop()
    second.drop()
    assert server.databases() == set()


def test_an_unfinished_database_of_a_live_run_stays(server, connection):
    """Between CREATE DATABASE and the mark, the lease speaks for the database."""
    leases = Leases(server)
    leases.take("shop_test")
    killed_early(server, connection)

    assert reap(server) == []
    (left,) = leftovers(server)
    assert left == Leftover("shop_test", None, True, False, is_unfinished=True, role="postgres")
    leases.close()


def test_a_database_for_another_purpose_stays(server, connection):
    """What is not a test database has rules of its own."""
    oid = admin.create(connection, "shop_test")
    admin.mark(connection, "shop_test", oid, purpose="museum")
    owned = claim(server, "shop")

    assert owned.passed_over[0].reason == "a database of pgsandbox for another purpose: museum"
    assert reap(server) == []
    owned.drop()
    assert server.databases() == {"shop_test"}


def test_a_left_over_of_another_role_stays(server, connection, maker):
    """Two people share a server: what the other one's killed run left is not in the way."""
    killed(server, connection)
    owned = claim(maker, "shop")

    assert owned.name == "shop_2_test"
    assert "only its owner postgres may drop it" in owned.passed_over[0].reason
    assert reap(maker) == []
    owned.drop()
    assert reap(server) == ["shop_test"]


def test_a_left_over_that_can_not_be_dropped_is_passed_over(server, connection):
    """It stops no later run, and the run's owner can be told who holds it."""
    killed(server, connection)
    with closing(server.connect()) as other:
        other.cursor().execute("begin; comment on database shop_test is null")
        owned = claim(server, "shop", limits=HURRIED)

        assert owned.name == "shop_2_test"
        assert owned.passed_over[0].reason == "left over, and could not be dropped"
        assert f"pid {other.info.backend_pid}, " in str(owned.passed_over[0].error)
    owned.drop()


def test_a_claim_on_a_server_that_stands_still_ends(server):
    """The second failure is the last: set-up does not try name after name."""
    with closing(server.connect()) as other:
        other.cursor().execute("begin; lock table pg_database in share row exclusive mode")
        with pytest.raises(AdministrationBlocked, match='create the database "shop_2_test"'):
            claim(server, "shop", limits=HURRIED)

    assert server.databases() == set()
    assert leftovers(server) == []


def test_one_left_over_that_can_not_be_dropped_stops_no_other(server, connection):
    """A reaper goes on, and tells at the end, or at once to whoever asks."""
    for name in ("a_test", "b_test", "c_test"):
        killed(server, connection, name)
    with closing(server.connect()) as other:
        other.cursor().execute("begin; comment on database b_test is null")
        errors = []
        assert reap(server, on_error=errors.append, limits=HURRIED) == ["a_test", "c_test"]
        with pytest.raises(AdministrationBlocked) as blocked:
            reap(server, limits=HURRIED)
        pid = other.info.backend_pid

    assert [type(error) for error in errors] == [AdministrationBlocked]
    assert f"pid {pid}, " in told(blocked)
    assert reap(server) == ["b_test"]


def test_leftovers_lists_ours_and_nothing_else(server, connection):
    """Each with what decides about it."""
    server.run("create database foreign_test")
    owned = claim(server, "a")
    claim(server, "b").keep()
    killed(server, connection, "c_test")
    killed_early(server, connection, "d_test")

    found = leftovers(server)
    facts = [(left.name, left.is_leased, left.is_kept, left.is_unfinished) for left in found]
    assert facts == [
        ("a_test", True, False, False),
        ("b_test", False, True, False),
        ("c_test", False, False, False),
        ("d_test", False, False, True),
    ]
    assert found[0].mark == owned.mark
    owned.drop()


def test_a_recreated_database_is_empty_and_still_leased(server, connection):
    """Healing takes the damage away, with all sessions, and nobody else gets the name between."""
    owned = claim(server, "shop", owner="/srv/shop")
    before = owned.mark
    with closing(server.connect("shop_test")) as leaked:
        leaked.cursor().execute("create table damage ()")
        owned.recreate()

    assert owned.mark == admin.read_mark(connection, "shop_test")
    assert owned.mark.oid != before.oid
    assert owned.mark.owner == "/srv/shop"
    assert owned.lease.is_held()
    assert server.run("select to_regclass('damage')", database="shop_test") == [(None,)]
    owned.drop()


def test_a_database_that_a_test_has_dropped_is_recreated(server):
    """Even DROP DATABASE is damage that heals."""
    owned = claim(server, "shop")
    server.run("drop database shop_test")
    owned.recreate()

    assert server.databases() == {"shop_test"}
    owned.drop()


def test_ending_twice_changes_nothing(server, connection):
    """The second drop does not meet the database of whoever came next."""
    first = claim(server, "shop")
    first.drop()
    second = claim(server, "shop")
    first.drop()
    first.keep()

    assert admin.read_mark(connection, "shop_test") == second.mark
    second.drop()


def test_what_has_ended_is_not_recreated(server):
    """Its lease is gone, and the name may be another run's."""
    owned = claim(server, "shop")
    owned.drop()

    with pytest.raises(LeaseLost, match="no longer held by this run"):
        owned.recreate()
    assert server.databases() == set()


def test_a_database_that_was_renamed_during_the_run_stays(server):
    """Whoever did that wants it."""
    owned = claim(server, "shop")
    server.run("alter database shop_test rename to precious")
    owned.drop()

    assert server.databases() == {"precious"}
    assert reap(server) == []
    assert server.databases() == {"precious"}


def test_a_database_that_was_replaced_during_the_run_stays(server):
    """A database of somebody else under our name is not ours, and the run says so at its end."""
    owned = claim(server, "shop")
    server.run("drop database shop_test")
    server.run("create database shop_test")

    with pytest.raises(NotATestDatabase):
        owned.drop()
    assert server.databases() == {"shop_test"}
    assert reap(server) == []


def cut(server, owned, wait_until):
    """End the session that holds the lease, as an administrator or a network may."""
    (pid,) = server.sessions(f"pgsandbox lease {owned.name}")
    server.run(f"select pg_terminate_backend({pid})")
    wait_until(lambda: not owned.lease.is_held())


def test_a_run_whose_lease_was_cut_takes_it_again(server, wait_until):
    """As long as nobody else has, its database is still its own."""
    owned = claim(server, "shop")
    cut(server, owned, wait_until)
    owned.recreate()

    assert owned.lease.is_held()
    owned.drop()
    assert server.databases() == set()


def test_a_run_whose_lease_was_cut_leaves_the_database_of_the_next(server, connection, wait_until):
    """Another run has reaped and replaced it: the first one does nothing to that."""
    first = claim(server, "shop")
    cut(server, first, wait_until)
    second = claim(server, "shop")

    with pytest.raises(LeaseLost, match="no longer held by this run"):
        first.recreate()
    with pytest.raises(LeaseLost, match="no longer held by this run"):
        first.keep()
    first.drop()
    assert admin.read_mark(connection, "shop_test") == second.mark
    second.drop()


def test_a_run_whose_lease_was_cut_leaves_what_the_next_one_kept(server, connection, wait_until):
    """The name is free again, but the database is another one."""
    first = claim(server, "shop")
    cut(server, first, wait_until)
    claim(server, "shop").keep()
    with pytest.raises(LeaseLost, match="no longer held by this run"):
        first.recreate()
    first.drop()

    assert admin.read_mark(connection, "shop_test").is_kept


def test_a_drop_that_is_blocked_ends_the_lease_all_the_same(server, connection):
    """The run reports who blocked it, and the next one removes the database."""
    owned = claim(server, "shop", limits=HURRIED)
    with closing(server.connect()) as other:
        other.cursor().execute("begin; comment on database shop_test is null")
        with pytest.raises(AdministrationBlocked):
            owned.drop()

    assert not is_leased(connection, "shop_test")
    assert reap(server) == ["shop_test"]


def test_several_databases_of_a_run_share_one_lease_connection(server, wait_until):
    """It closes with the last of them."""
    leases = Leases(server)
    first = claim(server, "shop", leases=leases)
    second = claim(server, "shop", leases=leases)

    assert (first.name, second.name) == ("shop_test", "shop_2_test")
    assert len(server.sessions("pgsandbox lease shop_test, shop_2_test")) == 1
    first.drop()
    assert second.lease.is_held()
    second.drop()
    wait_until(lambda: not server.sessions("pgsandbox lease"))


def test_a_role_without_createdb_leaves_nothing_behind(server, wait_until):
    """It is told before anything is tried."""
    server.run("create role plain login")

    with pytest.raises(MayNotCreateDatabases):
        claim(server.as_role("plain"), "shop")
    assert server.databases() == set()
    assert leftovers(server) == []


def test_a_claim_whose_mark_fails_leaves_nothing_behind(
    server, connection, monkeypatch, wait_until
):
    """The database that was just created is dropped again, and its lease ended."""
    mark = admin.mark

    def fail_once(*args, **options):
        monkeypatch.setattr(admin, "mark", mark)
        raise DatabaseError("The disk is full.")

    monkeypatch.setattr(admin, "mark", fail_once)

    with pytest.raises(DatabaseError) as failure:
        claim(server, "shop")
    assert "The disk is full." in told(failure)
    assert server.databases() == set()
    assert not is_leased(connection, "shop_test")
    wait_until(lambda: not server.sessions("pgsandbox lease"))


def test_a_name_that_appears_while_it_is_claimed_is_looked_at_again(
    server, connection, monkeypatch
):
    """The orphaned CREATE DATABASE of a killed run ends after the first look."""
    find = pg_database.find

    def find_nothing_once(*args, **options):
        monkeypatch.setattr(pg_database, "find", find)
        killed_early(server, connection)

    monkeypatch.setattr(pg_database, "find", find_nothing_once)
    owned = claim(server, "shop")

    assert owned.name == "shop_test"
    owned.drop()


def test_the_search_for_a_name_ends(server, monkeypatch):
    """With the reasons of the first names, and what to do."""
    monkeypatch.setattr(lifecycle, "_ATTEMPTS", 2)
    server.run("create database shop_test")
    server.run("create database shop_2_test")

    with pytest.raises(DatabaseError, match="No name is free for the test database: 2 were tried"):
        claim(server, "shop")
    assert leftovers(server) == []


def test_a_server_that_is_gone_at_the_end_is_an_error_of_ours(server):
    """The run still ends its lease."""
    owned = claim(server, "shop")
    owned.server = server.through("nowhere")

    with pytest.raises(ServerError):
        owned.drop()
    owned.drop()
    assert reap(server) == ["shop_test"]


def test_a_killed_run_is_cleared_away_by_the_next(start_run, server, connection, wait_until):
    """SIGKILL: the lease ends by itself, and the next run has the same name again."""
    first = start_run("shop")
    assert first.name() == "shop_test"
    first.kill()
    wait_until(lambda: not is_leased(connection, "shop_test"))
    second = start_run("shop")

    assert second.name() == "shop_test"
    assert second.finish() == 0
    assert server.databases() == set()


def test_eight_runs_at_once_share_no_name(start_run, server):
    """Half of them through another maintenance database, with reapers running all the while."""
    server.run("create database elsewhere")
    runs = [start_run("shop", database) for database in ("postgres", "elsewhere") * 4]

    names = [run.name() for run in runs]
    assert len(set(names)) == 8
    assert server.databases() == {"elsewhere", *names}
    assert [run.finish() for run in runs] == [0] * 8
    assert server.databases() == {"elsewhere"}
