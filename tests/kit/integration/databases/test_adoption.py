"""Databases that their owner hands over: only empty ones, emptied by runs, never dropped."""

from contextlib import closing

import pytest

from pgsandbox.databases import adopt, adopted, leftovers, must_take_adopted, reap, take
from pgsandbox.databases.adoption import contents
from pgsandbox.databases.limits import Limits
from pgsandbox.errors import (
    AdministrationBlocked,
    AdoptionRefused,
    LeaseLost,
    MayNotCreateDatabases,
    NotATestDatabase,
)

# Each kind of object that a migration makes, and that DROP takes differently.
EVERYTHING = """
    create schema sales;
    create table sales.orders (id serial primary key, at int generated always as identity);
    create table public."Two words" (id int references sales.orders);
    create view public.seen as select * from sales.orders;
    create materialized view public.stored as select 1 as one;
    create type public.mood as enum ('glad', 'sad');
    create type public.pair as (a int, b public.mood);
    create type public.span as range (subtype = int);
    create domain public.positive as int check (value > 0);
    create sequence public.numbers;
    create function public.one(a int, b text) returns int language sql as 'select 1';
    create procedure public.two() language sql as 'select 1';
    create aggregate public.total(int) (sfunc = int4pl, stype = int);
    create operator public.=== (leftarg = int, rightarg = int, function = int4eq);
    create function public.tell() returns trigger language plpgsql as 'begin return new; end';
    create trigger tells after insert on sales.orders for each row execute function public.tell();
    create collation public.plain from "C";
    create statistics public.both on id, at from sales.orders;
    create text search configuration public.words (copy = simple);
    select lo_create(4711);
    create publication everything;
"""


@pytest.fixture
def plain(server):
    """The server for a role that may not create databases and owns three."""
    server.run("create role plain login")
    for name in ("shop_test", "shop_2_test", "shop_gw0_test"):
        server.run("create database {} owner plain", name)
    return server.as_role("plain")


def test_an_empty_database_of_the_role_is_adopted(plain, connection):
    """It bears a mark of a purpose of its own; adopting it again changes nothing."""
    mark = adopt(plain, "shop_test", owner="/srv/shop")
    with closing(plain.connect()) as own:
        names = adopted(own)

    assert (mark.purpose, mark.database, mark.owner) == ("adopted", "shop_test", "/srv/shop")
    assert adopt(plain, "shop_test") == mark
    assert names == ["shop_test"]


@pytest.mark.parametrize(
    "statement",
    [
        "create schema sales",
        "create table t ()",
        "create function f() returns int language sql as 'select 1'",
        "create type mood as enum ('glad')",
        "create domain positive as int",
        "create sequence numbers",
        "select lo_create(4711)",
        "create publication everything",
        "alter default privileges grant select on tables to public",
    ],
)
def test_a_database_with_anything_in_it_is_refused(plain, server, statement):
    """An empty table, a type, a function: somebody made it, and may need it."""
    server.run(statement, database="shop_test")
    with pytest.raises(AdoptionRefused, match="is not empty, so it was not adopted") as refused:
        adopt(plain, "shop_test")

    assert "contains" in str(refused.value)
    assert leftovers(server) == []


def test_what_is_not_the_roles_own_is_refused(plain, server):
    """One of another role, one that is not there, one of ours, and those of every server."""
    server.run("create database theirs")
    with pytest.raises(AdoptionRefused, match="belongs to postgres"):
        adopt(plain, "theirs")
    with pytest.raises(AdoptionRefused, match="There is no database") as missing:
        adopt(plain, "missing_test")
    with pytest.raises(AdoptionRefused, match="that every server has"):
        adopt(server, "postgres")

    assert 'CREATE DATABASE "missing_test" OWNER "plain";' in str(missing.value)
    assert leftovers(server) == []


def test_a_run_takes_the_first_adopted_name_that_is_free(plain):
    """Under a lease, so that two runs never share one; a worker has a name of its own."""
    for name in ("shop_test", "shop_2_test", "shop_gw0_test"):
        adopt(plain, name)
    first, second = take(plain, "shop"), take(plain, "shop")
    worker = take(plain, "shop", worker="gw0")
    with pytest.raises(AdoptionRefused, match="no adopted one is free") as refused:
        take(plain, "shop")
    first.drop()
    again = take(plain, "shop")

    assert [each.name for each in (first, second, worker)] == [
        *("shop_test", "shop_2_test", "shop_gw0_test")
    ]
    assert "held by a live run" in str(refused.value)
    assert "pgsandbox adopt shop_3_test" in str(refused.value)
    assert again.name == "shop_test"
    for owned in (second, worker, again):
        owned.drop()


def test_a_database_that_nobody_adopted_is_not_taken(plain, server):
    """Owning it is not handing it over: its contents stay."""
    server.run("create table precious ()", database="shop_test")
    adopt(plain, "shop_2_test")
    owned = take(plain, "shop")
    owned.drop()

    assert owned.name == "shop_2_test"
    assert owned.passed_over[0].reason == "is not adopted"
    assert server.run("select count(*) from precious", database="shop_test") == [(0,)]


def test_a_run_empties_it_at_its_start_and_at_its_end(plain, server):
    """Whatever kind of object a schema has; what was there by itself stays."""
    adopt(plain, "shop_test")
    plain.run(EVERYTHING, database="shop_test")
    owned = take(plain, "shop")
    with closing(plain.connect("shop_test")) as inside:
        at_the_start = contents(inside)
    plain.run("create table public.t ()", database="shop_test")
    owned.recreate()
    plain.run("create table public.u ()", database="shop_test")
    owned.drop()
    with closing(plain.connect("shop_test")) as inside:
        at_the_end = contents(inside)

    assert at_the_start == at_the_end == []
    assert server.databases() == {"shop_test", "shop_2_test", "shop_gw0_test"}
    assert plain.run("select to_regnamespace('public') is not null", database="shop_test") == [
        (True,)
    ]


def test_every_kind_of_object_is_seen_before_it_is_dropped(plain, server):
    """The check of the test above would pass if nothing were seen at all."""
    server.run(EVERYTHING, database="shop_test")
    with closing(server.connect("shop_test")) as inside:
        kinds = {piece.kind for piece in contents(inside)}

    assert kinds >= {
        *("schema", "table", "view", "materialized view", "type", "sequence", "function"),
        *("procedure", "aggregate", "operator", "collation", "statistics object"),
        *("text search configuration", "large object", "publication"),
    }


def test_an_extension_of_another_role_stays(plain, server):
    """A role that may not create databases may not create most extensions either."""
    anew = "drop extension plpgsql; create extension plpgsql"
    server.run(anew, database="shop_test")
    adopt(plain, "shop_test")
    take(plain, "shop").drop()

    assert server.run(
        "select oid >= 16384 from pg_extension where extname = 'plpgsql'", database="shop_test"
    ) == [(True,)]


def test_sessions_and_prepared_transactions_of_a_dead_run_do_not_stand_in_the_way(plain):
    """A killed run's statement may run on, and hold locks, for as long as it takes."""
    adopt(plain, "shop_test")
    plain.run("create table t ()", database="shop_test")
    with closing(plain.connect("shop_test")) as dead:
        dead.cursor().execute("begin; lock table t")
        plain.run("begin; create table u (); prepare transaction 'left'", database="shop_test")
        owned = take(plain, "shop")

    owned.drop()
    assert plain.run("select gid from pg_prepared_xacts") == []


def test_a_session_of_another_role_in_the_way_is_named(plain, server):
    """A psql of an administrator: the run ends in time, with its pid."""
    adopt(plain, "shop_test")
    plain.run("create table t ()", database="shop_test")
    with closing(server.connect("shop_test")) as other:
        other.cursor().execute("set application_name = 'psql'; begin; lock table t")
        with pytest.raises(AdministrationBlocked) as blocked:
            take(plain, "shop", limits=Limits(lock=0.3, statement=2.0))
        pid = other.info.backend_pid

    assert f"pid {pid}, " in str(blocked.value)
    take(plain, "shop").drop()


def test_nothing_ever_drops_an_adopted_database(plain, server):
    """Neither a reaper, nor one that asks for kept databases, nor another run's claim."""
    adopt(plain, "shop_test")
    take(plain, "shop").keep()

    assert reap(server, include_kept=True) == []
    assert reap(plain, include_kept=True) == []
    assert "shop_test" in server.databases()


def test_a_database_that_was_replaced_is_not_emptied(plain, server):
    """The mark named the old one; the new one of the same name is nobody's."""
    adopt(plain, "shop_test")
    owned = take(plain, "shop")
    server.run("drop database shop_test with (force)")
    server.run("create database shop_test owner plain")
    plain.run("create table precious ()", database="shop_test")
    with pytest.raises(NotATestDatabase):
        owned.drop()

    assert plain.run("select count(*) from precious", database="shop_test") == [(0,)]


def test_a_run_that_lost_its_lease_empties_nothing(plain, server, wait_until):
    """Another run is in it by now."""
    adopt(plain, "shop_test")
    first = take(plain, "shop")
    (pid,) = server.sessions("pgsandbox lease shop_test")
    server.run(f"select pg_terminate_backend({pid})")
    wait_until(lambda: not first.lease.is_held())
    second = take(plain, "shop")
    plain.run("create table theirs ()", database="shop_test")
    with pytest.raises(LeaseLost):
        first.recreate()
    first.drop()

    assert plain.run("select count(*) from theirs", database="shop_test") == [(0,)]
    second.drop()


def test_a_role_that_was_given_none_is_told_the_ways_out(plain, connection):
    """One that may create databases needs none."""
    with closing(plain.connect()) as own, pytest.raises(MayNotCreateDatabases) as refused:
        must_take_adopted(own)

    assert "pgsandbox adopt" in str(refused.value)
    assert not must_take_adopted(connection)
