"""Small projects that are written, run with pytest in a process of their own, and looked at."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import textwrap
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql

import pgsandbox
from pgsandbox.servers import Server
from tests.kit import forks

SECRET = "tr0ub4dor"
"""The password in every URL that these projects use; no message may show it."""

MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
"""

_PYPROJECT = """
[project]
name = "<name>"

[tool.pytest.ini_options]
pythonpath = ["."]
addopts = ["--strict-markers"]
{pytest}

{settings}
"""

_SOURCE = str(Path(pgsandbox.__file__).parents[1])
_ANNOUNCED = any(each.name == "pgsandbox" for each in entry_points(group="pytest11"))
_PLUGIN = "pgsandbox" if _ANNOUNCED else "pgsandbox.plugin"
_OF_A_RUN = re.compile(
    "PYTEST_|PGSANDBOX_(?!BINDIR|RUNDIR)|PG[A-Z]+$|PYTHONDONTWRITEBYTECODE|.*DATABASE_URL"
    # By these, pytest prints summaries in full, and colours.
    "|(CI|BUILD_NUMBER|FORCE_COLOR|NO_COLOR|PY_COLORS)$"
)


@dataclass(frozen=True)
class Outcome:
    """What a run of pytest said, and how it ended."""

    code: int
    """Its exit code."""
    out: str
    """Its standard output."""
    err: str
    """Its standard error."""
    seconds: float
    """How long it took."""

    @property
    def counts(self) -> dict[str, int]:
        """How many tests passed, failed and so on."""
        return pytest.RunResult.parse_summary_nouns(self.out.splitlines())

    @property
    def text(self) -> str:
        """All that it said."""
        return f"{self.out}\n{self.err}"

    def line(self, start: str) -> str:
        """The only line that starts with *start*."""
        (found,) = (line for line in self.text.splitlines() if line.startswith(start))
        return found

    def section(self, title: str) -> str:
        """What stands in the report below *title*: the name of a test that failed, say."""
        parts = re.split(rf"^_+ {re.escape(title)} _+$", self.out, flags=re.MULTILINE)
        assert len(parts) == 2, f"{len(parts) - 1} times {title!r} in:\n{self.text}"
        return re.split(r"^(?:__+ .* __+|==+ .* ==+)$", parts[1], flags=re.MULTILINE)[0]


class Project:
    """A project below a directory of its own, whose database has a name that no other has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"shop_{secrets.token_hex(4)}"
        """Its name, from which the test database's is made."""

    def write(self, files: Mapping[str, str]) -> None:
        """Write *files*, text by path, with the project's name for each ``<name>``."""
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text).lstrip("\n").replace("<name>", self.name))

    def configure(self, settings: str, ini: str = "") -> None:
        """Write a pyproject.toml with *settings* of pgsandbox and lines for pytest in *ini*."""
        text = _PYPROJECT.format(pytest=ini, settings=settings)
        self.write({"pyproject.toml": text})

    def run(
        self,
        *arguments: str,
        seconds: float = 60,
        below: str = ".",
        is_fresh: bool = False,
        **environ: str,
    ) -> Outcome:
        """Run pytest with *arguments* and *environ* to its end, in the directory *below*.

        It is a fork of a process that has made most imports, unless its interpreter *is fresh*.
        """
        began = time.monotonic()
        words = ("pytest", "-p", _PLUGIN, *arguments)
        environment = self.environ() | environ
        run = forks.run_fresh if is_fresh else forks.run
        try:
            done = run(*words, cwd=self.path / below, environ=environment, seconds=seconds)
        except subprocess.TimeoutExpired as late:
            pytest.fail(
                f"the run did not end within {seconds} s:\n{late.stdout!s}\n{late.stderr!s}"
            )
        print(f"{done.stdout}\n{done.stderr}")  # for whoever reads why a test of ours failed
        return Outcome(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def finish(
        self, process: subprocess.Popen[str], began: float = 0.0, *, seconds: float = 60
    ) -> Outcome:
        """Wait for a run that `start` began."""
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"the run did not end within {seconds} s:\n{out}\n{err}")
        print(f"{out}\n{err}")  # for whoever reads why a test of ours failed
        return Outcome(process.returncode, out, err, time.monotonic() - began)

    def start(self, *arguments: str, below: str = ".", **environ: str) -> subprocess.Popen[str]:
        """Start pytest, in a process group of its own."""
        words = ("pytest", "-p", _PLUGIN, *arguments)
        environment = self.environ() | environ
        return forks.start_fresh(*words, cwd=self.path / below, environ=environment)

    def environ(self) -> dict[str, str]:
        """The environment of a shell in which nobody has set anything for tests."""
        kept = {name: text for name, text in os.environ.items() if not _OF_A_RUN.match(name)}
        return kept | {
            "COLUMNS": "100",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": _SOURCE,
        }


def databases(server: Server, name: str) -> list[str]:
    """The databases of *server* whose names begin with *name*."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select datname from pg_database where starts_with(datname, %s) order by 1", (name,)
        )
        return [row[0] for row in cursor.fetchall()]


def execute(server: Server, statement: str, *names: str, database: str | None = None) -> None:
    """Run *statement* with *names* in place of each ``{}``."""
    with closing(server.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def answers(url: str) -> bool:
    """Whether one can log in at *url*, which is libpq's."""
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True
