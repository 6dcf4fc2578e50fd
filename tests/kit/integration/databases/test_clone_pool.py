"""Copies made ahead: ready when a test asks, gone when it is over, and never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pgsandbox import databases
from pgsandbox.databases import ClonePool, CloneSource, clone_pool
from pgsandbox.databases.lease import Leases
from pgsandbox.databases.limits import Limits
from pgsandbox.errors import AdministrationBlocked, DatabaseError
from tests.kit.integration.databases import hoarder
from tests.kit.integration.databases.builder import TableTemplate
from tests.kit.integration.databases.conftest import SECONDS, LocalServer

WaitUntil = Callable[[Callable[[], object]], object]

CLONE = "shop_clone_test"


@pytest.fixture
def leases(server: LocalServer) -> Iterator[Leases]:
    """The leases of the run."""
    leases = Leases(server)
    yield leases
    leases.close()


@pytest.fixture
def template(server: LocalServer, leases: Leases) -> str:
    """The name of a template."""
    template = databases.obtain(server, leases, TableTemplate(server))
    assert template is not None
    return template.name


@pytest.fixture
def made(server: LocalServer, leases: Leases, template: str) -> Iterator[ClonePool]:
    """The run's pool of copies of one template."""
    made = ClonePool(server, leases, [CloneSource(template, "shop_clone")])
    yield made
    made.stop()


def copies(server: LocalServer) -> set[str]:
    """The names of all copies."""
    return {name for name in server.databases() if "_clone" in name}


@pytest.fixture
def threads() -> Callable[[], list[str]]:
    """The names of the threads in the background, without those of the run that tests all this."""
    before = set(threading.enumerate())

    def threads() -> list[str]:
        started = set(threading.enumerate()) - before
        return [each.name for each in started if each.name.startswith("pgsandbox-")]

    return threads


def test_copies_are_ready_before_a_test_asks(
    server: LocalServer, made: ClonePool, wait_until: WaitUntil
) -> None:
    """But only a few of them, however many tests are to come."""
    made.expect(50)
    wait_until(lambda: len(copies(server)) == clone_pool.READY)
    (owned,) = made.take()

    assert owned.name == CLONE
    assert server.run("select count(*) from items", database=CLONE) == [(0,)]


def test_no_more_are_made_than_tests_are_expected(
    server: LocalServer, made: ClonePool, wait_until: WaitUntil
) -> None:
    """One test, one copy; and after it, none."""
    made.expect(1)
    wait_until(lambda: copies(server))
    made.give_back(made.take())
    wait_until(lambda: not copies(server))

    assert made.stop() == []


def test_no_name_is_given_twice(server: LocalServer, made: ClonePool) -> None:
    """A connection that outlives its test finds no database, and not the next test's."""
    made.expect(3)
    names = []
    for _ in range(5):
        taken = made.take()
        names.append(taken[0].name)
        made.give_back(taken)

    assert len(set(names)) == 5


def test_a_test_that_nobody_expected_gets_its_copy(
    server: LocalServer, made: ClonePool, threads: Callable[[], list[str]]
) -> None:
    """It waits for it, and no thread is started."""
    (owned,) = made.take()
    made.give_back([owned])

    assert copies(server) == set()
    assert threads() == []


def test_each_source_has_its_copy(server: LocalServer, leases: Leases, template: str) -> None:
    """In their order: the databases of an application with binds."""
    made = ClonePool(
        server, leases, [CloneSource(template, "shop_clone"), CloneSource(template, "log_clone")]
    )
    names = [owned.name for owned in made.take()]
    taken = copies(server)
    made.stop()

    assert names == ["shop_clone_test", "log_clone_test"]
    assert taken == set(names)


def test_used_copies_are_dropped_in_the_background(
    server: LocalServer, made: ClonePool, wait_until: WaitUntil
) -> None:
    """With whatever still is connected to them."""
    made.expect(1)
    taken = made.take()
    with closing(server.connect(CLONE)) as forgotten:
        forgotten.cursor().execute("begin; insert into items values (1)")
        made.give_back(taken)
        wait_until(lambda: CLONE not in server.databases())


def test_stopping_drops_all(
    server: LocalServer, made: ClonePool, threads: Callable[[], list[str]]
) -> None:
    """What is ready, what was used, and what is being made; the threads end."""
    made.expect(50)
    made.give_back(made.take())
    problems = made.stop()

    assert problems == []
    assert copies(server) == set()
    assert threads() == []
    assert made.stop() == []


def test_a_failure_in_the_background_is_the_next_tests(
    server: LocalServer, made: ClonePool, template: str, wait_until: WaitUntil
) -> None:
    """It meets the error itself, and a later one finds all well again."""
    server.run("alter database {} rename to elsewhere", template)
    made.expect(10)
    wait_until(lambda: made._has_failed)
    with pytest.raises(DatabaseError, match="could not create"):
        made.take()
    server.run("alter database elsewhere rename to {}", template)
    (owned,) = made.take()

    assert server.run("select count(*) from items", database=owned.name) == [(0,)]


def test_a_failed_drop_is_told_at_the_end(
    server: LocalServer, made: ClonePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test left a lock on the catalog in another session, say."""
    monkeypatch.setattr(clone_pool, "LIMITS", Limits(lock=0.2, statement=1.0))
    taken = made.take()
    with closing(server.connect()) as other:
        other.cursor().execute("begin; lock table pg_database in share mode")
        made.give_back(taken)
        (problem,) = made.stop()

    assert isinstance(problem, AdministrationBlocked)
    assert f'could not drop the database "{CLONE}"' in str(problem)


def test_a_server_with_few_connections(
    server: LocalServer, leases: Leases, template: str, wait_until: WaitUntil
) -> None:
    """The run holds one for its leases, the background one, and the test's own comes on top."""
    server.run("create role modest login createdb connection limit 3")
    modest = server.as_role("modest")
    mine = Leases(modest)
    own = databases.obtain(modest, mine, TableTemplate(modest, "modest_template"))
    assert own is not None
    made = ClonePool(modest, mine, [CloneSource(own.name, "modest_clone")])
    made.expect(6)
    for _ in range(6):
        made.give_back(made.take())
    problems = made.stop()
    mine.close()

    assert problems == []
    assert copies(server) == set()


def test_a_killed_run_leaves_what_the_next_one_drops(
    server: LocalServer, template: str, wait_until: WaitUntil
) -> None:
    """Ready copies are marked and leased as all databases are; those in the making, unfinished."""
    process = subprocess.Popen(
        [sys.executable, "-m", hoarder.__name__, str(server.directory), template],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout
    assert process.stdout.readline() == "made\n"
    while_alive = databases.reap(server)
    process.kill()
    process.communicate(timeout=SECONDS)

    def nothing_is_left() -> bool:
        databases.reap(server)
        return not copies(server)

    wait_until(nothing_is_left)
    assert while_alive == []


def test_a_long_name_fits(server: LocalServer, leases: Leases, template: str) -> None:
    """The stem is cut, and the number stays."""
    made = ClonePool(server, leases, [CloneSource(template, "ü" * 40)])
    names = [made.take()[0].name for _ in range(2)]
    made.give_back([])
    left = [name for name in server.databases() if name in names]

    assert len(left) == 2
    assert all(len(name.encode()) <= 63 for name in names)
