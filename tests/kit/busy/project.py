"""A project whose tests run beside five threads that no test joins, and count what came of it.

Three threads read in a loop, whatever is going on; one is in a transaction that it rolls back while
its test ends; one is in a transaction in which it writes once its test is over.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.kit.integration.plugin.projects import MODELS, Project

_THREADS = """
import json
import os
import queue
import threading
from collections import Counter

import pytest
from models import Item
from sqlalchemy import create_engine, func, insert, select

DRIVER = os.environ["DRIVER"]
engine = create_engine(
    f"postgresql+{DRIVER}://app@production.example/shop", pool_size=8, max_overflow=8
)
COUNT = select(func.count()).select_from(Item)


class Threads:
    def __init__(self):
        self.counts = Counter()
        self.opened = threading.Event()
        self.is_over = False
        self.jobs = {"rollback": queue.SimpleQueue(), "late": queue.SimpleQueue()}
        self.running = [threading.Thread(target=self.read) for _ in range(3)]
        self.running += [threading.Thread(target=self.work, args=(kind,)) for kind in self.jobs]
        for thread in self.running:
            thread.start()

    def read(self):
        while not self.is_over:
            try:
                with engine.connect() as connection:
                    connection.scalar(COUNT)
                self.counts["reads"] += 1
            except Exception as error:
                self.counts[f"reads, {self.name_of(error)}"] += 1
                self.opened.wait(1)

    def work(self, kind):
        while (job := self.jobs[kind].get()) is not None:
            try:
                with engine.connect() as connection:
                    connection.execute(insert(Item).values(name=kind))
                    job.has_begun.set()
                    job.may_end.wait()
                    if kind == "rollback":
                        connection.rollback()
                    else:
                        connection.execute(insert(Item).values(name="written late"))
                        connection.commit()
                self.counts[kind] += 1
            except Exception as error:
                self.counts[f"{kind}, {self.name_of(error)}"] += 1
            finally:
                job.has_begun.set()
                job.has_ended.set()

    def begin(self, kind):
        job = Job()
        self.jobs[kind].put(job)
        assert job.has_begun.wait(20)
        return job

    def name_of(self, error):
        return str(getattr(error, "orig", error)).partition(":")[0].splitlines()[0][:60]

    def end(self):
        self.is_over = True
        for jobs in self.jobs.values():
            jobs.put(None)
        for thread in self.running:
            thread.join()


class Job:
    def __init__(self):
        self.has_begun, self.may_end, self.has_ended = (threading.Event() for _ in range(3))


@pytest.fixture(scope="session")
def threads():
    threads = Threads()
    yield threads
    threads.late.may_end.set()
    threads.end()
    with open(os.environ["COUNTS"], "w") as file:
        json.dump(threads.counts, file)
"""

_TESTS = """
import os

import pytest
from conftest import COUNT, engine
from models import Item
from sqlalchemy import select
from sqlalchemy.orm import Session

TESTS = int(os.environ["TESTS"])


@pytest.fixture(scope="module")
def shelf():
    with Session(engine) as session:
        session.add(Item(name="shelf"))
        session.commit()


def check(threads, number, expected):
    if number:
        threads.late.may_end.set()
    with Session(engine) as session:
        session.add(Item(name="mine"))
        session.commit()
    late = threads.begin("late") if not number or threads.late.has_ended.wait(20) else None
    assert late is not None
    threads.late = late
    rollback = threads.begin("rollback")
    threads.opened.set()
    with Session(engine) as session:
        names = sorted(session.scalars(select(Item.name)))

    assert names == sorted(["late", "mine", "rollback", *expected])
    threads.opened.clear()
    rollback.may_end.set()


@pytest.mark.parametrize("number", range(TESTS // 2))
def test_beside_threads(threads, number):
    check(threads, number, [])


@pytest.mark.parametrize("number", range(TESTS // 2, TESTS))
def test_beside_threads_above_a_wider_fixture(threads, shelf, number):
    check(threads, number, ["shelf"])
"""


@dataclass(frozen=True)
class Beside:
    """What came of tests beside threads."""

    tests: int
    """How many there were."""
    passed: int
    failed: int
    """How many failed, or had an error in their set-up or teardown."""
    seconds: float
    code: int
    """The exit code of pytest."""
    text: str
    """What it said."""
    counts: Counter[str]
    """What the threads did, and what they were told."""

    @property
    def refused_late(self) -> int:
        """How many late writes were refused."""
        return self.counts["late, SandboxLost"]

    @property
    def is_well(self) -> bool:
        """Whether no test failed, and no thread wrote into a test that was not its own."""
        return (
            self.code == 0
            and self.passed == self.tests
            and not self.counts["late"]
            and self.refused_late == self.tests
        )

    def table(self) -> str:
        """Return its figures, one a line."""
        lines = [
            ("tests", self.tests),
            ("passed", self.passed),
            ("failed", self.failed),
            ("seconds", round(self.seconds)),
            *sorted(self.counts.items()),
        ]
        return "\n".join(f"{number:>9}  {what}" for what, number in lines)


def run_beside_threads(folder: Path, tests: int, *, driver: str = "psycopg2") -> Beside:
    """Run so many *tests* of a project in *folder* beside its threads."""
    project = Project(folder / "project")
    project.write(
        {
            "models.py": MODELS.replace("(unique=True)", "()"),
            "tests/integration/conftest.py": _THREADS,
            "tests/integration/test_items.py": _TESTS,
        }
    )
    project.configure(
        '[tool.pgsandbox]\nmetadata = "models:Base"\nserver = "embedded"\nredirect = true\n'
        f'url = "postgresql+{driver}://app@production.example/shop"\n'
    )
    counts = folder / "counts.json"
    environ = {"TESTS": str(tests), "DRIVER": driver, "COUNTS": str(counts)}
    outcome = project.run("-q", "--tb=short", seconds=60 + tests, **environ)
    found = outcome.counts
    return Beside(
        tests=tests,
        passed=found.get("passed", 0),
        failed=found.get("failed", 0) + found.get("errors", 0) + found.get("error", 0),
        seconds=outcome.seconds,
        code=outcome.code,
        text=re.sub(r"^[.]+ *(\[ *\d+%\])?\n", "", outcome.text, flags=re.MULTILINE),
        counts=Counter(json.loads(counts.read_text()) if counts.exists() else {}),
    )
