"""Teardown ends although something stands still: a debugger's client, a session, a psql."""

from __future__ import annotations

import os
import signal

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import databases

_LIMIT = 60.0
"""Seconds: the sum of the limits for one statement that is blocked, on a busy machine."""

_HELPERS = """
import os
import signal
import subprocess
import sys

CLIENT = '''
import sys, psycopg2
connection = psycopg2.connect(sys.argv[1], application_name="a debugger")
cursor = connection.cursor()
cursor.execute("select pg_backend_pid()")
print(cursor.fetchone()[0], flush=True)
sys.stdin.readline()
'''

def client(pg):
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, pg.url.replace("+psycopg2", "")],
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
    """
    project = make_project({"helpers.py": _HELPERS, "tests/integration/test_stop.py": test})
    outcome = project.run()

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
