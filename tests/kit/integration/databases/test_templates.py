"""Templates: built once, published at one instant, believed only while they are current."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg2
import pytest

from pgsandbox import databases
from pgsandbox.databases import templates
from pgsandbox.databases.lease import Leases
from pgsandbox.errors import SchemaNotBuilt
from pgsandbox.guard import Mark
from tests.kit.integration.databases import builder
from tests.kit.integration.databases.builder import TableTemplate
from tests.kit.integration.databases.conftest import SECONDS, LocalServer

NAME = TableTemplate.name


@pytest.fixture
def specification(server: LocalServer) -> TableTemplate:
    """A template that lasts."""
    return TableTemplate(server)


@pytest.fixture
def make_leases(server: LocalServer) -> Iterator[Callable[[], Leases]]:
    """Leases as those of a run; each call is another run."""
    made: list[Leases] = []

    def make() -> Leases:
        made.append(Leases(server))
        return made[-1]

    yield make
    for leases in made:
        leases.close()


@pytest.fixture
def leases(make_leases: Callable[[], Leases]) -> Leases:
    """The leases of one run."""
    return make_leases()


def mark_of(server: LocalServer, name: str = NAME) -> Mark:
    """The mark on the database *name*."""
    (found,) = (each for each in databases.leftovers(server) if each.name == name)
    assert found.mark is not None
    return found.mark


def test_the_first_builds_and_the_second_finds(
    server: LocalServer, specification: TableTemplate, make_leases: Callable[[], Leases]
) -> None:
    """With the same address and unchanged inputs."""
    first = databases.obtain(server, make_leases(), specification)
    second = databases.obtain(server, make_leases(), specification)

    assert first is not None
    assert second == replace(first, was_built=False)
    assert specification.built == [NAME]


def test_nobody_connects_to_a_template(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """Not even a superuser: one idle session would keep everybody from copying it."""
    databases.obtain(server, leases, specification)

    with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
        server.connect(NAME)


def test_a_template_has_its_mark(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """For what it is, who made it, when it was used, and what it was built from."""
    databases.obtain(server, leases, specification)
    mark = mark_of(server)

    assert (mark.purpose, mark.owner, mark.is_kept) == ("template", "/srv/shop", True)
    assert mark.inputs == "as they are"
    assert mark.used > mark.created


def test_a_copy_has_the_schema_and_takes_connections(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """And jit is off in it, which is no part of a copy."""
    databases.obtain(server, leases, specification)
    owned = databases.claim(server, "shop", template=NAME)

    assert server.run("select count(*) from items", database=owned.name) == [(0,)]
    assert server.run("show jit", database=owned.name) == [("off",)]


def test_changed_inputs_build_anew(
    server: LocalServer, specification: TableTemplate, make_leases: Callable[[], Leases]
) -> None:
    """A template that nobody uses is replaced."""
    leases = make_leases()
    first = databases.obtain(server, leases, specification)
    assert first is not None
    databases.release(server, leases, first)
    specification.inputs = "changed"
    second = databases.obtain(server, make_leases(), specification)

    assert second is not None
    assert second.was_built
    assert second.oid != first.oid
    assert mark_of(server).inputs == "changed"


def test_an_outdated_template_in_use_is_neither_taken_nor_touched(
    server: LocalServer, specification: TableTemplate, make_leases: Callable[[], Leases]
) -> None:
    """The other run began before the change, and goes on with what it has."""
    first = databases.obtain(server, make_leases(), specification)
    changed = TableTemplate(server, inputs="changed")

    assert first is not None
    assert databases.obtain(server, make_leases(), changed) is None
    assert mark_of(server).oid == first.oid


def test_what_can_not_be_compared_does_not_last(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """It serves this run, and is dropped with it."""
    specification.inputs = None
    template = databases.obtain(server, leases, specification)
    assert template is not None
    assert not template.lasts
    databases.release(server, leases, template)

    assert server.databases() == set()


def test_the_last_user_drops_the_template_of_a_run(
    server: LocalServer, specification: TableTemplate, make_leases: Callable[[], Leases]
) -> None:
    """Workers end in any order."""
    specification.lasts = False
    runs = [make_leases(), make_leases()]
    found = [databases.obtain(server, each, specification) for each in runs]
    assert found[0] is not None
    databases.release(server, runs[0], found[0])
    left = server.databases()
    databases.release(server, runs[1], found[0])

    assert left == {NAME}
    assert server.databases() == set()


def test_a_template_that_lasts_stays(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """And no reap takes it, but one that is asked for kept databases."""
    template = databases.obtain(server, leases, specification)
    assert template is not None
    in_use = databases.reap(server, include_kept=True)
    databases.release(server, leases, template)

    assert in_use == []
    assert databases.reap(server) == []
    assert databases.reap(server, include_kept=True) == [NAME]


def test_reaping_leaves_the_template_of_a_live_run(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """It is dropped once its users are gone, however they went."""
    specification.lasts = False
    databases.obtain(server, leases, specification)
    while_used = databases.reap(server)
    leases.close()

    assert while_used == []
    assert databases.reap(server) == [NAME]


def test_a_failed_build_leaves_nothing(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """The error is the builder's own, and the next run may try again."""

    def fail(_: str) -> None:
        raise SchemaNotBuilt("a migration failed")

    specification.meanwhile = fail
    with pytest.raises(SchemaNotBuilt):
        databases.obtain(server, leases, specification)

    assert server.databases() == set()
    assert databases.obtain(server, leases, TableTemplate(server)) is not None


def test_two_runs_build_one_template(
    server: LocalServer, specification: TableTemplate, make_leases: Callable[[], Leases]
) -> None:
    """The second waits until the first has published it."""
    is_building, may_go_on = threading.Event(), threading.Event()
    found: list[templates.Template | None] = []

    def pause(_: str) -> None:
        is_building.set()
        may_go_on.wait(SECONDS)

    specification.meanwhile = pause
    first = threading.Thread(
        target=lambda: found.append(databases.obtain(server, make_leases(), specification))
    )
    other = TableTemplate(server)
    second = threading.Thread(
        target=lambda: found.append(databases.obtain(server, make_leases(), other))
    )
    first.start()
    is_building.wait(SECONDS)
    second.start()
    may_go_on.set()
    first.join(SECONDS)
    second.join(SECONDS)

    assert [each.name for each in found if each] == [NAME, NAME]
    assert specification.built == [NAME]
    assert other.built == []


def test_a_stranger_in_the_template_is_sent_away(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """A psql that came while it was built would make each copy wait."""
    strangers = []
    specification.meanwhile = lambda name: strangers.append(server.connect(name))
    databases.obtain(server, leases, specification)
    owned = databases.claim(server, "shop", template=NAME)

    assert owned.name == "shop_test"
    with closing(strangers[0]) as stranger, pytest.raises(psycopg2.OperationalError):
        stranger.cursor().execute("select 1")


def test_a_foreign_database_of_that_name_is_left_alone(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """There is no template then, and the run builds for itself."""
    server.run("create database {}", NAME)

    assert databases.obtain(server, leases, specification) is None
    assert specification.built == []
    assert server.databases() == {NAME}


def test_a_mark_of_another_database_is_not_believed(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """As on a template that somebody dropped and restored from a dump."""
    template = databases.obtain(server, leases, specification)
    assert template is not None
    databases.release(server, leases, template)
    wrong = replace(mark_of(server), oid=1).encode()
    server.run(f"comment on database \"{NAME}\" is '{wrong}'")

    assert databases.obtain(server, leases, specification) is None
    assert databases.reap(server, include_kept=True) == []


def test_a_test_database_of_that_name_is_no_template(
    server: LocalServer, specification: TableTemplate, leases: Leases
) -> None:
    """Ours as it is, it was kept for people to look at."""
    databases.claim(server, None, exact=NAME).keep()

    assert databases.obtain(server, leases, specification) is None
    assert server.databases() == {NAME}


def test_the_least_recently_used_goes_first(
    server: LocalServer,
    leases: Leases,
    make_leases: Callable[[], Leases],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But none that a live run uses, however old it is."""
    monkeypatch.setattr(templates, "QUOTA", 2)
    first = databases.obtain(server, make_leases(), TableTemplate(server, "first_template"))
    for name in ("second_template", "third_template", "second_template", "fourth_template"):
        template = databases.obtain(server, leases, TableTemplate(server, name))
        assert template is not None
        databases.release(server, leases, template)

    assert first is not None
    assert server.databases() == {"first_template", "second_template", "fourth_template"}


def test_a_role_without_special_rights(maker: LocalServer, make_leases) -> None:
    """CREATEDB is enough for all of it."""
    specification = TableTemplate(maker)
    leases = make_leases()
    template = databases.obtain(maker, leases, specification)
    owned = databases.claim(maker, "shop", template=NAME)

    assert template is not None
    assert maker.run("select count(*) from items", database=owned.name) == [(0,)]


def test_a_template_of_another_role_is_not_taken(
    server: LocalServer, maker: LocalServer, make_leases: Callable[[], Leases]
) -> None:
    """What is in it was made with the other one's rights."""
    leases = Leases(server)
    databases.obtain(server, leases, TableTemplate(server))
    mine = TableTemplate(maker)

    assert databases.obtain(maker, make_leases(), mine) is None
    assert mine.built == []
    leases.close()


@dataclass
class Builder:
    """A process that builds a template."""

    process: subprocess.Popen[str]

    def reach(self, moment: str) -> None:
        """Wait until it has come to *moment*."""
        assert self.process.stdout
        assert self.process.stdout.readline().strip() == moment

    def kill(self) -> None:
        """Kill it, so that it can't put anything in order."""
        self.process.kill()
        self.process.communicate(timeout=SECONDS)


@pytest.fixture
def start_builder(server: LocalServer) -> Iterator[Callable[[str], Builder]]:
    """Start a process that builds a template up to a moment."""
    started: list[Builder] = []

    def start(moment: str) -> Builder:
        process = subprocess.Popen(
            [sys.executable, "-m", builder.__name__, str(server.directory), NAME, moment],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        started.append(Builder(process))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.mark.parametrize("moment", ["building", "publishing"])
def test_a_killed_build_is_built_anew(
    server: LocalServer,
    specification: TableTemplate,
    leases: Leases,
    start_builder: Callable[[str], Builder],
    moment: str,
) -> None:
    """Nothing but the mark makes a template of a database."""
    killed = start_builder(moment)
    killed.reach(moment)
    killed.kill()
    template = databases.obtain(server, leases, specification)

    assert template is not None
    assert template.was_built
    assert server.databases() == {NAME}


@pytest.mark.parametrize("moment", ["building", "publishing"])
def test_a_killed_build_is_reaped(
    server: LocalServer,
    start_builder: Callable[[str], Builder],
    wait_until: Callable[[Callable[[], object]], object],
    moment: str,
) -> None:
    """By any run, not only by one that wants the same template; and not while it is alive."""
    killed = start_builder(moment)
    killed.reach(moment)
    while_alive = databases.reap(server)
    killed.kill()
    wait_until(lambda: databases.reap(server) == [NAME])

    assert while_alive == []
    assert server.databases() == set()


def test_a_template_of_a_killed_user_is_used_by_the_next(
    server: LocalServer,
    specification: TableTemplate,
    leases: Leases,
    start_builder: Callable[[str], Builder],
) -> None:
    """It was published, so it is whole."""
    killed = start_builder("using")
    killed.reach("using")
    killed.kill()
    template = databases.obtain(server, leases, specification)

    assert template is not None
    assert not template.was_built
