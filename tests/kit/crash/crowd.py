"""Several runs of one project at once on one server: two checkouts, two roles, xdist inside."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pgsandbox import servers
from tests.kit.crash.project import write_project
from tests.kit.crash.rounds import as_table
from tests.kit.external import PASSWORD, External
from tests.kit.integration.plugin.projects import Project, databases

_CONFTEST = """
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text


@pytest.fixture(scope="session", autouse=True)
def everybody(pg):
    \"\"\"Write down this process's database, and wait until every process of every run has.\"\"\"
    folder, worker = Path(os.environ["CROWD"]), os.environ.get("PYTEST_XDIST_WORKER", "alone")
    name = pg.url.split("?")[0].rpartition("/")[2]
    (folder / f"{os.environ['RUN']}-{worker}").write_text(name)
    deadline = time.monotonic() + 60
    while len(list(folder.iterdir())) < int(os.environ["PROCESSES"]):
        assert time.monotonic() < deadline, "somebody never had a database"
        time.sleep(0.01)
"""

_PREPARATION = re.compile(r"([\d.]+) s to prepare it")
_LIMIT = 120.0


@dataclass(frozen=True)
class Member:
    """One run of the crowd, when it is over."""

    checkout: str
    """The directory of its project."""
    role: str
    """The role that it logged in as."""
    code: int
    """Its exit code."""
    seconds: float
    """How long it took, alone or waiting."""
    preparation: float
    """Seconds until its slowest process had its database, as the summary says."""
    names: tuple[str, ...]
    """The databases of its processes, all there at the same time as everybody's."""
    text: str
    """What it said."""


@dataclass(frozen=True)
class Crowd:
    """What came of all runs."""

    members: tuple[Member, ...]
    alone: float
    """Seconds that one such run needs to prepare its databases when nobody else is there."""
    most_sessions: int
    """Sessions on the server at the busiest moment that was looked at."""
    is_left: tuple[str, ...]
    """Databases of the project that are left."""

    @property
    def shared(self) -> list[str]:
        """Names that two processes had at once."""
        names = [name for member in self.members for name in member.names]
        return sorted({name for name in names if names.count(name) > 1})

    @property
    def is_green(self) -> bool:
        """Whether every run passed, no name was shared, and nothing is left."""
        passed = all(member.code == 0 for member in self.members)
        return passed and not self.shared and not self.is_left

    def table(self) -> str:
        """One line for each run, and one for all."""
        head = ["run", "role", "checkout", "exit code", "seconds", "preparation", "databases"]
        rows = [
            [
                str(number),
                each.role,
                each.checkout,
                str(each.code),
                f"{each.seconds:.1f}",
                f"{each.preparation:.2f} s",
                ", ".join(each.names),
            ]
            for number, each in enumerate(self.members, start=1)
        ]
        said = (
            f"{len(self.shared)} names shared, {len(self.is_left)} databases left, at most "
            f"{self.most_sessions} sessions; alone, preparation takes {self.alone:.2f} s"
        )
        return f"{as_table(head, rows)}\n\n{said}"


def gather(external: External, folder: Path, runs: int, workers: int) -> Crowd:
    """Start *runs* runs at once on *external*, each with *workers*, and wait for all of them."""
    roles = ("ann", "bob")
    external.execute(
        *(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{PASSWORD}'" for role in roles)
    )
    checkouts = [write_project(folder / name) for name in ("checkout_1", "checkout_2")]
    checkouts[1].name = checkouts[0].name
    for project in checkouts:
        project.write({"tests/integration/conftest.py": _CONFTEST})
    alone = _finished(_start(external, checkouts[0], folder / "alone", "ann", 1, workers))
    members, most = _together(external, checkouts, roles, folder / "crowd", (runs, workers))
    server = servers.given(external.url, reason="a test", source="a test")
    return Crowd(members, alone.preparation, most, tuple(databases(server, "shop_")))


@dataclass
class _Running:
    """A run that has been started."""

    project: Project
    role: str
    folder: Path
    number: int
    process: subprocess.Popen[str]
    began: float


def _together(
    external: External,
    checkouts: Sequence[Project],
    roles: Sequence[str],
    folder: Path,
    size: tuple[int, int],
) -> tuple[tuple[Member, ...], int]:
    started = [
        _start(
            external, checkouts[n % 2], folder, roles[n // 2 % 2], size[0], size[1], number=n + 1
        )
        for n in range(size[0])
    ]
    most = 0
    while any(each.process.poll() is None for each in started):
        if time.monotonic() - started[0].began > _LIMIT:
            break
        most = max(most, _sessions(external))
        time.sleep(0.1)
    return tuple(_finished(each) for each in started), most


def _start(
    external: External,
    project: Project,
    folder: Path,
    role: str,
    runs: int,
    workers: int,
    number: int = 1,
) -> _Running:
    folder.mkdir(parents=True, exist_ok=True)
    url = external.url.set(username=role, database=f"{project.name}_test")
    process = project.start(
        *("-p", "xdist", "-n", str(workers), "--dist=each"),
        TEST_DATABASE_URL=url.render_as_string(hide_password=False),
        CROWD=str(folder),
        RUN=str(number),
        PROCESSES=str(runs * workers),
    )
    return _Running(project, role, folder, number, process, time.monotonic())


def _finished(running: _Running) -> Member:
    outcome = running.project.finish(running.process, running.began, seconds=_LIMIT)
    found = _PREPARATION.search(outcome.out)
    names = tuple(file.read_text() for file in sorted(running.folder.glob(f"{running.number}-*")))
    return Member(
        running.project.path.name,
        running.role,
        outcome.code,
        outcome.seconds,
        float(found[1]) if found else 0.0,
        names,
        outcome.text,
    )


def _sessions(external: External) -> int:
    server = servers.given(external.url, reason="a test", source="a test")
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) - 1 from pg_stat_activity where datname is not null")
        row = cursor.fetchone()
    return int(row[0]) if row else 0
