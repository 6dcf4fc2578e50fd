"""A thread that outlives its test: what it has of that test ends with it, and nobody else sees it.

Each project has a thread that does something in one test, and goes on in the next.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.kit.busy.project import run_beside_threads
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.nightly import by_night

_SETTINGS = """
server = "embedded"
redirect = true
url = "postgresql+psycopg2://app@production.example/shop"
"""

_CONFTEST = """
import threading

import psycopg2
import pytest
from sqlalchemy import create_engine, text

engine = create_engine("postgresql+psycopg2://app@production.example/shop")
LATE = text("insert into items (name) values ('late')")


def raw():
    return psycopg2.connect("host=production.example user=app dbname=shop")


class Late:
    def __init__(self):
        self.is_ready, self.may_go_on = threading.Event(), threading.Event()
        self.error = None

    def start(self, steps):
        self.thread = threading.Thread(target=self.work, args=(steps,))
        self.thread.start()
        assert self.is_ready.wait(20)
        assert self.error is None

    def work(self, steps):
        try:
            next(steps)
            self.is_ready.set()
            self.may_go_on.wait(20)
            next(steps, None)
        except Exception as error:
            self.error = getattr(error, "orig", error)
        finally:
            self.is_ready.set()

    def go_on(self):
        self.may_go_on.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return str(self.error)


late = Late()
"""

_TESTS = """
import threading

import psycopg2
from conftest import LATE, engine, late, raw
from sqlalchemy import text
from sqlalchemy.orm import Session
from models import Item


<steps>

def test_1_starts_it():
    late.start(steps())


def test_2_is_innocent(db_session):
    said = late.go_on()

    assert db_session.scalars(text("select name from items")).all() == []
    assert "transaction that began in a test which is over" in said
    assert "test_1_starts_it" in said


def test_3_may_use_the_pool(db_session):
    with engine.begin() as connection:
        connection.execute(LATE)

    assert db_session.scalars(text("select name from items")).all() == ["late"]
"""

KINDS = {
    "a connection of a pool, in a transaction": """
        def steps():
            with engine.connect() as connection:
                connection.execute(text("insert into items (name) values ('before')"))
                yield
                connection.execute(LATE)
                connection.commit()
    """,
    "one that has only read": """
        def steps():
            with engine.connect() as connection:
                connection.execute(text("select 1"))
                yield
                connection.execute(LATE)
                connection.commit()
    """,
    "one whose transaction has sent nothing": """
        def steps():
            with engine.begin() as connection:
                yield
                connection.execute(LATE)
    """,
    "one that has committed, and was not given back": """
        def steps():
            with engine.connect() as connection:
                connection.execute(text("insert into items (name) values ('before')"))
                connection.commit()
                yield
                connection.execute(LATE)
                connection.commit()
    """,
    "one in AUTOCOMMIT": """
        def steps():
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("insert into items (name) values ('before')"))
                yield
                connection.execute(LATE)
    """,
    "one that only commits": """
        def steps():
            with engine.connect() as connection:
                connection.execute(LATE)
                yield
                connection.commit()
    """,
    "a session": """
        def steps():
            session = Session(engine)
            session.add(Item(name="before"))
            session.flush()
            yield
            session.add(Item(name="late"))
            session.commit()
    """,
    "a driver's own connection": """
        def steps():
            connection = raw()
            cursor = connection.cursor()
            cursor.execute("insert into items (name) values ('before')")
            yield
            cursor.execute("insert into items (name) values ('late')")
            connection.commit()
    """,
    "a driver's own connection in autocommit": """
        def steps():
            connection = raw()
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("select 1")
            yield
            cursor.execute("insert into items (name) values ('late')")
    """,
    "a COPY whose rows are on their way": """
        class Rows:
            def __init__(self):
                self.has_begun, self.may_go_on = threading.Event(), threading.Event()
                self.parts = iter(["before\\n", "late\\n", ""])

            def read(self, size):
                part = next(self.parts)
                if part == "late\\n":
                    self.has_begun.set()
                    self.may_go_on.wait(20)
                return part


        def steps():
            connection, rows, errors = raw(), Rows(), []

            def copy():
                try:
                    with connection.cursor() as cursor:
                        cursor.copy_expert("copy items (name) from stdin", rows)
                    connection.commit()
                except psycopg2.Error as error:
                    errors.append(error)

            thread = threading.Thread(target=copy)
            thread.start()
            rows.has_begun.wait(20)
            yield
            rows.may_go_on.set()
            thread.join(10)
            raise errors[0]
    """,
}


def _tests(steps: str) -> str:
    return _TESTS.replace("<steps>", textwrap.dedent(steps).strip() + "\n")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_thread_has_of_its_test_ends_with_it(make_project: MakeProject, kind: str) -> None:
    """It gets an error, the next test sees none of its rows, and the summary names it."""
    files = {
        "tests/integration/conftest.py": _CONFTEST,
        "tests/integration/test_items.py": _tests(KINDS[kind]),
    }
    outcome = make_project(files, _SETTINGS).run("-q")

    assert outcome.counts == {"passed": 3}
    (told,) = (line for line in outcome.out.splitlines() if "went on after its test" in line)
    assert "and was refused: after tests/integration/test_items.py::test_1_starts_it" in told
    assert "in tests/integration/test_items.py::test_2_is_innocent" in told


def test_a_thread_that_opens_new_connections_is_named(make_project: MakeProject) -> None:
    """Nobody can tell it from one that works for the next test; the summary says what it did."""
    tests = """
        from conftest import LATE, engine, late
        from sqlalchemy import text


        def steps():
            with engine.begin() as connection:
                connection.execute(LATE)
            yield
            with engine.begin() as connection:
                connection.execute(LATE)


        def test_1_starts_it():
            late.start(steps())


        def test_2_finds_its_row(db_session):
            late.go_on()

            assert db_session.scalars(text("select name from items")).all() == ["late"]
    """
    files = {"tests/integration/conftest.py": _CONFTEST, "tests/integration/test_items.py": tests}
    outcome = make_project(files, _SETTINGS).run("-q")

    assert outcome.counts == {"passed": 2}
    told = outcome.line("pgsandbox: a thread at tests/integration/test_items.py:9 ")
    assert "and used the database: after tests/integration/test_items.py::test_1_starts_it" in told
    assert "in tests/integration/test_items.py::test_2_finds_its_row" in told


def test_a_thread_that_connects_first_when_its_test_is_over_is_named(
    make_project: MakeProject,
) -> None:
    """Also one that its own test never saw use the database."""
    tests = """
        from conftest import LATE, engine, late


        def steps():
            yield
            with engine.begin() as connection:
                connection.execute(LATE)


        def test_1_starts_it(db_session):
            late.start(steps())


        def test_2_goes_on(db_session):
            late.go_on()
    """
    files = {"tests/integration/conftest.py": _CONFTEST, "tests/integration/test_items.py": tests}
    outcome = make_project(files, _SETTINGS).run("-q")

    assert outcome.counts == {"passed": 2}
    told = outcome.line("pgsandbox: a thread at tests/integration/test_items.py:6 ")
    assert "and used the database: after tests/integration/test_items.py::test_1_starts_it" in told


@pytest.mark.parametrize("scope", ["session", "module"])
def test_threads_that_wait_for_work_are_nobodys(make_project: MakeProject, scope: str) -> None:
    """Neither a pool that is kept for the whole run, nor a worker of a wider fixture, is named."""
    tests = """
        import queue
        import threading
        from concurrent.futures import ThreadPoolExecutor

        import pytest
        from conftest import engine
        from sqlalchemy import text

        pool = ThreadPoolExecutor(2)
        ITEM = text("insert into items (name) values (gen_random_uuid())")


        def write():
            with engine.begin() as connection:
                connection.execute(ITEM)


        @pytest.fixture(scope="<scope>")
        def worker():
            jobs, done = queue.SimpleQueue(), queue.SimpleQueue()

            def work():
                with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as kept:
                    while jobs.get():
                        kept.execute(ITEM)
                        done.put(True)

            thread = threading.Thread(target=work)
            thread.start()
            yield jobs, done
            jobs.put(False)
            thread.join()


        @pytest.mark.parametrize("number", range(5))
        def test_item(worker, db_session, number):
            jobs, done = worker
            pool.submit(write).result()
            jobs.put(True)
            done.get(timeout=20)

            assert db_session.scalar(text("select count(*) from items")) == 2
    """
    files = {
        "tests/integration/conftest.py": _CONFTEST,
        "tests/integration/test_items.py": tests.replace("<scope>", scope),
    }
    outcome = make_project(files, _SETTINGS).run("-q")

    assert outcome.counts == {"passed": 5}
    assert "after its test" not in outcome.text


def test_what_others_are_refused_fails_no_test(make_project: MakeProject) -> None:
    """A thread of a session's fixture polls on while a test runs that asked for no database."""
    files = {
        "tests/conftest.py": """
            import threading

            import pytest
            from sqlalchemy import create_engine, text

            engine = create_engine("postgresql+psycopg2://app@production.example/shop")


            @pytest.fixture(scope="session", autouse=True)
            def refused():
                is_over, refused = threading.Event(), threading.Semaphore(0)

                def poll():
                    while not is_over.is_set():
                        try:
                            with engine.connect() as connection:
                                connection.execute(text("select 1"))
                        except Exception:
                            refused.release()

                thread = threading.Thread(target=poll)
                thread.start()
                yield refused
                is_over.set()
                thread.join()
        """,
        "tests/unit/test_unit.py": """
            import pytest


            @pytest.mark.parametrize("number", range(20))
            def test_without_database(refused, number):
                while refused.acquire(blocking=False):
                    pass

                assert refused.acquire(timeout=20)
        """,
    }
    settings = f'{_SETTINGS}swallowed-refusals = "fail"\n'
    outcome = make_project(files, settings).run("-q")

    # The first is set up before the thread is there.
    assert outcome.counts.get("passed", 0) >= 19


@pytest.mark.parametrize("tests", [8, *by_night(300)])
def test_tests_beside_threads_pass(tmp_path: Path, tests: int) -> None:
    """Reads in a loop, rollbacks while a test ends, late writes: the short version of 10,000."""
    found = run_beside_threads(tmp_path, tests)

    assert found.is_well, found.text
    assert found.counts["reads"] > 0
    assert found.counts["rollback"] == tests


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_the_end_of_a_clone_waits_for_no_statement(make_project: MakeProject, driver: str) -> None:
    """A thread's own goes on until its database goes."""
    tests = """
        import threading

        import pytest
        from sqlalchemy import create_engine, text

        engine = create_engine("postgresql+<driver>://app@production.example/shop")
        errors = []


        def sleep(has_begun):
            try:
                with engine.connect() as connection:
                    connection.execute(text("select 1"))
                    has_begun.set()
                    connection.execute(text("select pg_sleep(3600)"))
            except Exception as error:
                errors.append(error)


        @pytest.mark.pgsandbox(isolation="clone")
        def test_starts_it():
            has_begun = threading.Event()
            threading.Thread(target=sleep, args=[has_begun], name="sleeper").start()
            assert has_begun.wait(20)


        @pytest.mark.pgsandbox(isolation="clone")
        def test_goes_on():
            (sleeper,) = (each for each in threading.enumerate() if each.name == "sleeper")
            sleeper.join(20)

            assert not sleeper.is_alive()
            assert len(errors) == 1
    """
    files = {"tests/integration/test_items.py": tests.replace("<driver>", driver)}
    outcome = make_project(files, _SETTINGS).run("-q")

    assert outcome.counts == {"passed": 2}


def test_a_process_keeps_nothing_of_its_test_either(make_project: MakeProject) -> None:
    """It joined the test by its URL, and goes on in its transaction in the next one."""
    files = {
        "child.py": """
            import sys

            import psycopg2

            connection = psycopg2.connect(sys.argv[1])
            cursor = connection.cursor()
            cursor.execute("insert into items (name) values ('before')")
            print("ready", flush=True)
            sys.stdin.readline()
            try:
                cursor.execute("insert into items (name) values ('late')")
                connection.commit()
            except psycopg2.Error as error:
                print(str(error).splitlines()[0], flush=True)
        """,
        "tests/integration/test_items.py": """
            import subprocess
            import sys

            from sqlalchemy import text

            children = []


            def test_1_starts_it(pg):
                command = [sys.executable, "child.py", pg.url.replace("+psycopg2", "")]
                pipe = subprocess.PIPE
                child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
                children.append(child)

                assert child.stdout.readline() == "ready\\n"


            def test_2_is_innocent(db_session):
                said, _ = children[0].communicate("\\n", timeout=20)

                assert db_session.scalars(text("select name from items")).all() == []
                assert "transaction that began in a test which is over" in said
        """,
    }
    outcome = make_project(files, _SETTINGS).run("-q", "--pg-uncommitted=ignore")

    assert outcome.counts == {"passed": 2}
    assert "a connection of the process " in outcome.line("pgsandbox: a connection of")
