"""What is ours stays ours through accidents of the application, and no longer than its lease."""

from __future__ import annotations

import pytest

from pgsandbox.databases import Leases, admin, claim, pg_database, reap
from pgsandbox.databases.clone_pool import ClonePool, CloneSource

COMMENTS = ["comment on database {} is 'The shop.'", "comment on database {} is null"]


@pytest.fixture
def leases_of(server):
    """The leases of one more run."""
    opened = []

    def leases_of():
        opened.append(Leases(server))
        return opened[-1]

    yield leases_of
    for leases in opened:
        leases.close()


@pytest.mark.parametrize("comment", COMMENTS)
def test_a_killed_runs_database_is_reaped_though_its_mark_was_overwritten(
    server, start_run, wait_until, comment
):
    """A migration with COMMENT ON DATABASE took it away, and each run left one more."""
    run = start_run("shop")
    server.run(comment, run.name())
    run.kill()
    wait_until(lambda: not server.sessions("pgsandbox lease shop_test"))

    assert reap(server) == ["shop_test"]
    assert server.databases() == set()


@pytest.mark.parametrize("comment", COMMENTS)
def test_a_run_drops_and_recreates_what_lost_its_mark(server, comment):
    """It is the run's own, whatever the comment says."""
    owned = claim(server, "shop")
    server.run(comment, "shop_test")
    owned.recreate()
    server.run(comment, "shop_test")
    owned.drop()

    assert server.databases() == set()


@pytest.mark.parametrize("comment", COMMENTS)
def test_a_migration_may_comment_while_a_template_is_built(server, connection, comment):
    """Then the database is not even marked yet."""
    oid = admin.create(connection, "shop_template")
    server.run(comment, "shop_template")
    admin.mark(connection, "shop_template", oid, purpose="template", inputs="none")

    assert pg_database.find(connection, "shop_template").mark.purpose == "template"
    assert pg_database.find(connection, "shop_template").comment.startswith("pgsandbox ")


def test_a_kept_database_stays_kept_though_its_mark_was_overwritten(server):
    """The second proof tells of that, too: somebody wants to look at it."""
    claim(server, "shop").keep()
    server.run("comment on database {} is 'To be looked at.'", "shop_test")

    assert reap(server) == []
    assert reap(server, include_kept=True) == ["shop_test"]


def test_a_comment_of_somebody_elses_is_no_proof(server):
    """Neither is a limit that belongs to another database, by name, oid or server."""
    owned = claim(server, "other")
    ((limit,),) = server.run("select datconnlimit from pg_database where datname = 'other_test'")
    server.run(f"create database shop_test connection limit {limit}")
    server.run("comment on database {} is 'The shop.'", "shop_test")

    assert reap(server) == []
    owned.drop()
    assert server.databases() == {"shop_test"}


def test_the_second_proof_is_worth_nothing_under_another_name(server):
    """Somebody renamed the database to keep it."""
    claim(server, "shop").lease.leases.close()
    server.run("comment on database {} is 'The shop.'", "shop_test")
    server.run("alter database shop_test rename to shop")

    assert reap(server, include_kept=True) == []
    assert server.databases() == {"shop"}


_OTHERS = "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


def restarted(server, wait_until):
    """End every session on *server*, and with it every lease, as a restart does."""
    server.run(f"select pg_terminate_backend(pid) {_OTHERS}")
    wait_until(lambda: not server.run(f"select {_OTHERS}"))


def test_a_copy_made_ahead_is_not_another_runs(server, leases_of, wait_until):
    """After a restart another run has the name by now: its database is not handed to our test."""
    claim(server, "template").keep()
    pool = ClonePool(server, leases_of(), [CloneSource("template_test", "shop")])
    pool.expect(1)
    wait_until(lambda: "shop_test" in server.databases() and pool._ready)
    restarted(server, wait_until)
    other = claim(server, "shop", leases=leases_of())
    (ours,) = pool.take()

    assert other.name == "shop_test"
    assert ours.name != "shop_test"
    ours.drop()
    other.drop()
    assert pool.stop() == []


def test_what_another_run_made_under_our_name_stays(server, leases_of, wait_until):
    """The lease was lost, and taken again: the database is another one."""
    owned = claim(server, "shop", leases=leases_of())
    restarted(server, wait_until)
    claim(server, "shop", leases=leases_of()).keep()

    assert not owned.is_proven()
    owned.drop()
    assert server.databases() == {"shop_test"}


def test_a_lease_that_was_lost_meanwhile_keeps_drop_from_running(server, connection, leases_of):
    """It is asked for last of all, after the mark was proven."""
    owned = claim(server, "shop", leases=leases_of())
    asked = []

    def is_held():
        asked.append(server.databases())
        return False

    assert not admin.drop(connection, "shop_test", oid=owned.mark.oid, is_held=is_held)
    assert asked == [{"shop_test"}]
    assert server.databases() == {"shop_test"}
    owned.drop()


def test_a_template_is_in_use_no_longer_than_its_lock(server, leases_of, wait_until):
    """After a restart the run takes the lock on its template again, when it next asks."""
    ours, other = leases_of(), leases_of()
    ours.use("shop_template")
    restarted(server, wait_until)
    ours.use("shop_template")
    other.take("shop_template")

    assert other.has_other_users("shop_template")
