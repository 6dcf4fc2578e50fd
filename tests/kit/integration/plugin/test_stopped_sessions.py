"""Teardown ends although something stands still: a debugger's client, a session, a psql."""

from __future__ import annotations

import os
import signal

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import databases
from tests.kit.nightly import by_night

_LIMIT = 60.0
"""Seconds: the sum of the limits for one statement that is blocked, on a busy machine."""

_ONE_END = 25.0
"""Seconds: what one test's end may wait, and a run on a busy machine."""

_HELPERS = """
import os
import signal
import subprocess
import sys

from sqlalchemy import make_url

CLIENT = '''
import sys, psycopg2
connection = psycopg2.connect(sys.argv[1], application_name="a debugger")
cursor = connection.cursor()
cursor.execute("select pg_backend_pid()")
print(cursor.fetchone()[0], flush=True)
sys.stdin.readline()
'''

def direct(pg):
    url = pg.server.url_of(make_url(pg.url).database, "postgresql")
    return url.render_as_string(hide_password=False)


def client(pg):
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, direct(pg)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, int(process.stdout.readline())
"""


def test_a_client_that_stands_still(make_project: MakeProject, server: Server) -> None:
    """SIGSTOP, as a debugger does it: its session is ended all the same."""
    test = """
        from helpers import client, os, signal

        def test_debugged(db_session, pg):
            process, _ = client(pg)
            process.send_signal(signal.SIGSTOP)
            with open("client", "w") as file:
                file.write(str(process.pid))
    """
    project = make_project({"helpers.py": _HELPERS, "tests/integration/test_stop.py": test})
    outcome = project.run()
    os.kill(int((project.path / "client").read_text()), signal.SIGKILL)

    assert "EscapedFromSandbox" in outcome.out
    assert outcome.code == 1
    assert databases(server, project.name) == []


def test_a_session_that_stands_still(make_project: MakeProject, server: Server) -> None:
    """A stopped backend can't be ended: the run says which one, and ends with its own code."""
    test = """
        from helpers import client, os, signal

        def test_debugged(db_session, pg):
            _, backend = client(pg)
            os.kill(backend, signal.SIGSTOP)
            with open("backend", "w") as file:
                file.write(str(backend))
    """
    project = make_project({"helpers.py": _HELPERS, "tests/integration/test_stop.py": test})
    outcome = project.run()
    backend = (project.path / "backend").read_text()
    os.kill(int(backend), signal.SIGCONT)

    assert outcome.code == 1
    assert "AdministrationBlocked" in outcome.text
    assert f'pid {backend}, application "a debugger"' in outcome.text
    assert outcome.seconds < _LIMIT


_CONFTEST = """
import os
import signal

import pytest
from pgsandbox.sandbox import endpoint_process

endpoint_process.LIMIT = 0.5
stopped = []

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    if report.when == "teardown":  # so that dropping its database does not wait for it
        while stopped:
            os.kill(stopped.pop(), signal.SIGCONT)
"""


@pytest.mark.parametrize("driver", ["psycopg2", *by_night("psycopg"), "asyncpg"])
def test_the_tests_own_session_stands_still(make_project: MakeProject, driver: str) -> None:
    """Its socket is shut when it has not answered in time, and the next test has another one."""
    test = '''
        import os
        import signal

        import conftest
        from models import Item
        from sqlalchemy import func, select

        WRITING = """
            select pid from pg_locks
            where relation = 'items'::regclass and mode = 'RowExclusiveLock'
        """

        def test_stops_it(db_session, pg):
            db_session.add(Item(name="tea"))
            db_session.flush()
            conftest.stopped.append(pg.outside(WRITING))
            os.kill(conftest.stopped[0], signal.SIGSTOP)

        def test_next(db_session):
            assert db_session.scalar(select(func.count(Item.id))) == 0
    '''
    project = make_project(
        {"conftest.py": _CONFTEST, "tests/integration/test_stop.py": test},
        f'url = "postgresql+{driver}://nobody@127.0.0.1:1/shop"\nserver = "embedded"',
    )
    outcome = project.run("-p", "no:randomly")

    assert "SandboxLost" in outcome.out
    assert outcome.counts == {"passed": 2, "errors": 1}
    assert outcome.seconds < _LIMIT


@pytest.mark.parametrize("driver", ["psycopg2", *by_night("psycopg"), "asyncpg"])
def test_the_sessions_of_a_clone_stand_still(make_project: MakeProject, driver: str) -> None:
    """They are closed without a question: a rollback waited for them for ever."""
    test = """
        import asyncio
        import os
        import signal

        import conftest
        import pytest
        from models import Item
        from sqlalchemy import func, select, text

        PID = text("select pg_backend_pid()")

        def stop(pid):
            conftest.stopped.append(pid)
            os.kill(pid, signal.SIGSTOP)

        @pytest.mark.pgsandbox(isolation="clone")
        def test_stops_them(db_session, db_connection, async_db_session):
            async def ask():
                return await async_db_session.scalar(PID)

            for each in (db_session, db_connection):
                stop(each.scalar(PID))
            if conftest.IS_ASYNC:
                stop(asyncio.run(ask()))

        def test_next(db_session):
            assert db_session.scalar(select(func.count(Item.id))) == 0
    """
    is_async = driver != "psycopg2"
    test = test if is_async else test.replace(", async_db_session", "")
    project = make_project(
        {
            "conftest.py": f"{_CONFTEST}\nIS_ASYNC = {is_async}\n",
            "tests/integration/test_stop.py": test,
        },
        f'url = "postgresql+{driver}://nobody@127.0.0.1:1/shop"\nserver = "embedded"',
    )
    outcome = project.run("-p", "no:randomly")

    assert outcome.counts == {"passed": 2}
    assert outcome.seconds < _ONE_END


_QUEUE = '''
    import threading

    import psycopg2
    import pytest
    from sqlalchemy import make_url, text

    STUBBORN = """
        do $$ begin
            loop
                begin perform pg_sleep(60); exception when query_canceled then null; end;
            end loop;
        end $$
    """

    def begin(pg, statement, count):
        url = make_url(pg.url).set(drivername="postgresql").render_as_string(hide_password=False)
        for connection in [psycopg2.connect(url) for _ in range(count)]:
            threading.Thread(target=run, args=(connection, statement), daemon=True).start()
        while not pg.outside(ASLEEP):
            pass

    ASLEEP = """
        select count(*) from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep'
    """

    def run(connection, statement):
        try:
            connection.cursor().execute(statement)
        except psycopg2.Error:
            pass

    def test_leaves_them(pg, db_session):
        db_session.execute(text("select 1"))
        begin(pg, <statement>, <count>)

    def test_is_innocent(db_session):
        assert db_session.scalar(text("select 1")) == 1
'''


@pytest.mark.parametrize(
    ("statement", "count"),
    [("STUBBORN", 1), ('"select pg_sleep(60)"', 15)],
    ids=["one that can't be cancelled", "many that wait for each other"],
)
def test_statements_that_threads_leave(
    make_project: MakeProject, statement: str, count: int
) -> None:
    """A test's end waits for no more than 15 s: it waited for ever, or for one after the other."""
    test = _QUEUE.replace("<statement>", statement).replace("<count>", str(count))
    project = make_project({"tests/integration/test_stop.py": test})
    outcome = project.run("-p", "no:randomly", "--pg-uncommitted=ignore")

    assert outcome.counts == {"failed": 1, "passed": 1}
    assert "was still running after the test had ended" in outcome.section("test_leaves_them")
    assert outcome.seconds < _ONE_END
