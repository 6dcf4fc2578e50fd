"""A lease lives as long as its connection, and no two runs hold the same name."""

from __future__ import annotations

from contextlib import closing

import pytest

from pgsandbox.databases import Leases, lease
from pgsandbox.databases.lease import is_leased, key_of
from pgsandbox.errors import ServerError


@pytest.fixture
def open_leases(server):
    """Make the leases of one more run, through a maintenance database of choice."""
    opened = []

    def open_leases(database="postgres"):
        opened.append(Leases(server.through(database)))
        return opened[-1]

    yield open_leases
    for leases in opened:
        leases.close()


def test_a_name_is_held_until_it_is_released(connection, open_leases):
    """Another run gets the name afterwards, and not before."""
    first, second = open_leases(), open_leases()
    held = first.take("shop_test")

    assert held.is_held()
    assert is_leased(connection, "shop_test")
    assert second.take("shop_test") is None
    held.release()
    assert not held.is_held()
    assert not is_leased(connection, "shop_test")
    assert second.take("shop_test").is_held()


def test_a_lease_is_seen_from_every_maintenance_database(server, open_leases):
    """Advisory locks belong to a database; pg_locks shows those of all."""
    server.run("create database elsewhere")
    open_leases("elsewhere").take("shop_test")

    with closing(server.connect("template1")) as connection:
        assert is_leased(connection, "shop_test")
    assert open_leases().take("shop_test") is None


def test_a_run_that_gives_way_holds_nothing(connection, server, open_leases):
    """After the holder has ended, the name is free: the other one has not kept its own lock."""
    server.run("create database elsewhere")
    first, second = open_leases(), open_leases("elsewhere")
    held = first.take("shop_test")
    second.take("shop_test")
    held.release()

    assert not is_leased(connection, "shop_test")
    assert first.take("shop_test") is not None


def test_of_two_that_see_each_other_both_give_way(server, connection, open_leases, monkeypatch):
    """Each has its lock before either looks, and a rule that lets one stay would let two stay."""
    server.run("create database elsewhere")
    first, second = open_leases(), open_leases("elsewhere")
    look = lease._is_held_by_another
    cursors, seen, taken = [], [], []

    def look_while_both_hold(cursor, number, key):
        cursors.append(cursor)
        if len(cursors) == 1:
            taken.append(second.take("shop_test"))
        else:
            seen.append(look(cursors[0], number, key))
        return look(cursor, number, key) if cursor is not cursors[0] else seen[0]

    monkeypatch.setattr(lease, "_is_held_by_another", look_while_both_hold)
    taken.append(first.take("shop_test"))

    assert seen == [True]
    assert taken == [None, None]
    assert not is_leased(connection, "shop_test")


def test_one_run_does_not_take_a_name_twice(open_leases):
    """The server would grant a session its own lock again."""
    leases = open_leases()
    leases.take("shop_test")

    assert leases.take("shop_test") is None


def test_one_connection_holds_all_leases_of_a_run(server, connection, open_leases):
    """They are shown in its name, and released one by one."""
    leases = open_leases()
    first, second = leases.take("a_test"), leases.take("b_test")

    assert len(server.sessions("pgsandbox lease a_test, b_test")) == 1
    first.release()
    assert len(server.sessions("pgsandbox lease b_test")) == 1
    assert not is_leased(connection, "a_test")
    assert second.is_held()


@pytest.mark.parametrize("name", ["größe_test", "100%s'\"\\_test", "x" * 63])
def test_any_name_can_be_leased(connection, open_leases, name):
    """Only a hash of the name is sent as the lock's key."""
    assert open_leases().take(name).is_held()
    assert is_leased(connection, name)


def test_keys_on_both_sides_of_the_sign_are_found(connection, open_leases):
    """The lock functions take signed numbers, and pg_locks shows unsigned ones."""
    names = {key_of(name) >> 31: name for name in ("a", "b", "c", "d", "e", "f")}
    leases = open_leases()

    assert set(names) == {0, 1}
    assert leases.take(names[0]).is_held()
    assert leases.take(names[1]).is_held()
    assert is_leased(connection, names[0])
    assert is_leased(connection, names[1])


def test_two_names_with_one_key_exclude_each_other(open_leases, monkeypatch):
    """A collision costs the second its name, and nobody a database."""
    monkeypatch.setattr(lease, "key_of", lambda name: 7)
    leases, other = open_leases(), open_leases()
    held = leases.take("a_test")

    assert leases.take("b_test") is None
    assert other.take("b_test") is None
    assert not leases.holds("b_test")
    leases.give_back("b_test")
    assert held.is_held()


def test_a_lease_that_was_cut_is_not_held(server, connection, open_leases, wait_until):
    """Nobody is told when an administrator ends the session, so the server is asked."""
    leases = open_leases()
    held = leases.take("shop_test")
    (pid,) = server.sessions("pgsandbox lease shop_test")
    server.run(f"select pg_terminate_backend({pid})")
    wait_until(lambda: not is_leased(connection, "shop_test"))

    assert not held.is_held()
    held.release()
    assert leases.take("shop_test").is_held()


def test_after_a_cut_the_next_lease_makes_a_new_connection(server, open_leases, wait_until):
    """What the closed connection held counts as lost."""
    leases = open_leases()
    held = leases.take("a_test")
    (pid,) = server.sessions("pgsandbox lease a_test")
    server.run(f"select pg_terminate_backend({pid})")
    wait_until(lambda: not held.is_held())

    assert leases.take("b_test").is_held()
    assert leases.take("a_test").is_held()


def test_the_connection_closes_when_nothing_is_left_to_hold(server, open_leases, wait_until):
    """A run that has dropped its databases leaves no session behind."""
    leases = open_leases()
    held = leases.take("shop_test")
    leases.close_if_unused()
    assert held.is_held()

    held.release()
    leases.close_if_unused()
    assert not leases.holds("shop_test")
    wait_until(lambda: not server.sessions("pgsandbox lease"))


def test_an_idle_lease_is_not_ended_for_being_idle(server, open_leases, wait_until):
    """A role's idle_session_timeout does not end the run's lease."""
    server.run("alter role postgres set idle_session_timeout = '50ms'")
    held = open_leases().take("shop_test")
    idler = server.connect()
    server.run("alter role postgres reset idle_session_timeout")
    with closing(idler):
        wait_until(
            lambda: not server.run(f"select 1 from pg_stat_activity where pid = {pid(idler)}")
        )

    assert held.is_held()


def pid(connection):
    """The connection's process on the server."""
    return connection.info.backend_pid


def test_no_lease_without_a_connection(server):
    """The error is one of ours, and nothing is half open."""
    leases = Leases(server.through("nowhere"))

    with pytest.raises(ServerError):
        leases.take("shop_test")
    assert not leases.holds("shop_test")


def test_the_lease_of_a_killed_process_is_free(start_run, connection, wait_until):
    """SIGKILL leaves no chance to release anything; the server does it."""
    run = start_run("shop")
    assert run.name() == "shop_test"
    assert is_leased(connection, "shop_test")

    run.kill()
    wait_until(lambda: not is_leased(connection, "shop_test"))
