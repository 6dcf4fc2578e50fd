"""What the test database is called, what stays of other people's, and what --pg-keep leaves."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsandbox import databases
from pgsandbox.servers import Server
from pgsandbox.servers.binaries import find
from tests.kit.external import PASSWORD, External
from tests.kit.integration.plugin import projects
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET, Project, execute
from tests.kit.nightly import by_night

_FILES = {
    "tests/integration/test_items.py": """
        from models import Item

        def test_item(db_session):
            db_session.add(Item(name="tea"))
            db_session.commit()
    """,
}


@pytest.fixture(scope="module")
def given(external: External) -> Server:
    """The server that somebody gives by TEST_DATABASE_URL."""
    return Server("given", external.url, "given by a test", 180000, "18.0")


@pytest.fixture
def project(make_project: MakeProject, given: Server) -> Iterator[Project]:
    """A project whose databases on the given server are dropped after the test."""
    project = make_project(_FILES)
    yield project
    for name in projects.databases(given, project.name):
        execute(given, "drop database {} with (force)", name)


def _url(given: Server, name: str) -> str:
    return given.url_of(name).render_as_string(hide_password=False)


def test_the_url_names_the_database(project: Project, given: Server) -> None:
    """The test database has exactly the name that TEST_DATABASE_URL gives it, and goes again."""
    outcome = project.run(TEST_DATABASE_URL=_url(given, f"{project.name}_x"))

    line = outcome.line("pgsandbox: PostgreSQL")
    assert f"127.0.0.1:{given.url.port} (from TEST_DATABASE_URL), " in line
    assert line.endswith(f"database {project.name}_x")
    assert outcome.counts == {"passed": 1}
    assert projects.databases(given, project.name) == []


def test_a_database_that_is_not_ours_stays(project: Project, given: Server) -> None:
    """It keeps its table; the run takes the next name, and says why."""
    mine, next_one = f"{project.name}_test", f"{project.name}_2_test"
    execute(given, "create database {}", mine)
    execute(given, "create table {} ()", "precious", database=mine)
    outcome = project.run(TEST_DATABASE_URL=_url(given, mine))

    assert outcome.line("pgsandbox: PostgreSQL").endswith(
        f"database {next_one} ({mine}: not a database of pgsandbox, so left untouched)"
    )
    assert outcome.counts == {"passed": 1}
    assert projects.databases(given, project.name) == [mine]
    execute(given, "drop table {}", "precious", database=mine)


def test_what_killed_runs_left_is_removed(project: Project, given: Server) -> None:
    """Under the run's own name and under any other, as that of a worker which is gone."""
    for worker in (None, "gw7"):
        left = databases.claim(given, project.name, worker=worker)
        left.lease.release()
    outcome = project.run(TEST_DATABASE_URL=_url(given, f"{project.name}_test"))

    assert outcome.line("pgsandbox: PostgreSQL").endswith(f"database {project.name}_test")
    assert outcome.counts == {"passed": 1}
    assert projects.databases(given, project.name) == []


def test_a_live_run_keeps_its_database(project: Project, given: Server) -> None:
    """Two runs on one server at once each have their own."""
    other = databases.claim(given, project.name)
    outcome = project.run(TEST_DATABASE_URL=_url(given, other.name))

    assert outcome.line("pgsandbox: PostgreSQL").endswith(
        f"database {project.name}_2_test ({other.name}: held by a live run)"
    )
    assert projects.databases(given, project.name) == [other.name]
    other.drop()


_TAKES_IT_AWAY = """
import os

from psycopg2.extensions import connection as Connection

def test_takes_it_away():
    connection = Connection(os.environ["ADMINISTRATOR"])
    connection.autocommit = True
    connection.cursor().execute("alter database <name>_test owner to postgres")
    connection.close()
"""


@pytest.mark.parametrize("workers", [(), *by_night((("-p", "xdist", "-n", "1"),))])
def test_what_cannot_be_dropped_is_reported(
    project: Project, external: External, given: Server, workers: tuple[str, ...]
) -> None:
    """At the end, once, as a message and not as a traceback; the tests' outcome stands."""
    external.execute(
        "drop role if exists creator", f"create role creator login password '{SECRET}' createdb"
    )
    name = f"{project.name}_gw0_test" if workers else f"{project.name}_test"
    test = _TAKES_IT_AWAY.replace("<name>_test", name)
    project.write({"tests/integration/test_items.py": test})
    url = given.url_of(f"{project.name}_test").set(username="creator", password=SECRET)
    outcome = project.run(
        *workers,
        TEST_DATABASE_URL=url.render_as_string(hide_password=False),
        ADMINISTRATOR=_url(given, "postgres").replace("+psycopg2", ""),
    )

    assert (outcome.code, outcome.counts) == (0, {"passed": 1})
    assert outcome.line(f'pgsandbox: DatabaseError: "{name}" belongs to another role')
    assert "Traceback" not in outcome.text
    assert outcome.err == ""


def test_keep(project: Project, given: Server) -> None:
    """The database stays with its schema, and the psql command that is printed opens it."""
    outcome = project.run("--pg-keep", "-q", TEST_DATABASE_URL=_url(given, f"{project.name}_test"))
    kept, command = outcome.line("pgsandbox: ").split(" is kept; look at it with: ")
    psql, *arguments = shlex.split(command)
    answer = subprocess.run(
        [find(None).bindir / psql, *arguments, "-Atc", "select count(*) from items"],
        env={"PGPASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        check=False,
    )

    assert kept == f"pgsandbox: {project.name}_test"
    assert PASSWORD not in outcome.text
    assert (answer.stdout, answer.stderr) == ("0\n", "")


def test_a_kept_database_is_not_taken_by_the_next_run(project: Project, given: Server) -> None:
    """Somebody wanted to look at it."""
    url = _url(given, f"{project.name}_test")
    project.run("--pg-keep", TEST_DATABASE_URL=url)
    outcome = project.run(TEST_DATABASE_URL=url)

    assert outcome.line("pgsandbox: PostgreSQL").endswith(
        f"database {project.name}_2_test ({project.name}_test: kept by an earlier run)"
    )
    assert projects.databases(given, project.name) == [f"{project.name}_test"]


def test_the_embedded_server_runs_on_for_a_kept_database(
    make_project: MakeProject, server: Server
) -> None:
    """A process of its own uses the server until somebody kills it, by the pid that is printed."""
    project = make_project(_FILES)
    outcome = project.run("--pg-keep")
    line = outcome.line("pgsandbox: the embedded server runs on for it; stop both with: kill ")
    pid = int(line.rsplit(" ", 1)[1])
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    os.kill(pid, signal.SIGTERM)

    assert str(server.url.query["host"]).removesuffix("/run").encode() in command
    assert f"{project.name}_test is kept; look at it with: psql" in outcome.text
    assert projects.databases(server, project.name) == [f"{project.name}_test"]
    execute(server, "drop database {}", f"{project.name}_test")
