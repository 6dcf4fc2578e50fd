"""A server that ends every session of a run, as it does when it crashes, in the middle of a test.

The sessions are terminated here, since nobody knows at what moment a crash would be noticed. The
server is one that no other run clears up: the leases of this one end with its sessions.
"""

from __future__ import annotations

from tests.kit.external import External
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import MODELS, Outcome

_SEED = """
def seed(session):
    session.add(Item(name="seeded"))
"""

_TESTS = '''
import subprocess
import sys

import pytest
from models import Item
from sqlalchemy import select

SESSIONS = """
    select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
    where pid <> pg_backend_pid()
    and (datname = '<name>_test' or application_name like 'pgsandbox lease%<name>_test%')
"""

DROP = """
import os, psycopg2
from psycopg2.sql import SQL, Identifier
from sqlalchemy import make_url

url = make_url(os.environ["TEST_DATABASE_URL"]).set(drivername="postgresql", database="postgres")
connection = psycopg2.connect(url.render_as_string(hide_password=False))
connection.autocommit = True
cursor = connection.cursor()
cursor.execute(
    "select datname from pg_database where starts_with(datname, '<name>') and not datallowconn"
)
for name, in cursor.fetchall():
    cursor.execute(SQL("drop database {}").format(Identifier(name)))
    print(name)
"""


def test_1_sends_nothing(pg):
    assert pg.outside(SESSIONS) >= 2

def test_2_loses_the_template(pg):
    assert pg.outside(SESSIONS) >= 2
    assert subprocess.check_output([sys.executable, "-c", DROP])

def test_3_writes(pg, db_session):
    db_session.add(Item(name="tea"))
    db_session.flush()
    assert pg.outside(SESSIONS) >= 2

@pytest.mark.parametrize("time", range(2))
def test_4_goes_on(db_session, time):
    assert db_session.scalars(select(Item.name)).all() == ["seeded"]

@pytest.mark.pgsandbox(isolation="clone")
def test_5_has_its_own_database(pg):
    assert pg.outside(SESSIONS) >= 2
'''


_UNNOTICED = "SandboxLost: The server ended all sessions of the run while the test ran"


def _url(external: External, database: str) -> str:
    return external.url.set(database=database).render_as_string(hide_password=False)


def _run(make_project: MakeProject, external: External, *arguments: str) -> Outcome:
    """Run the tests in their order, on the given server."""
    files = {"models.py": MODELS + _SEED, "tests/integration/test_items.py": _TESTS}
    project = make_project(files, 'seed = "models:seed"')
    url = _url(external, f"{project.name}_test")
    return project.run("-p", "no:randomly", *arguments, TEST_DATABASE_URL=url)


def test_each_test_is_told_once_and_the_next_has_a_new_database(
    make_project: MakeProject, external: External
) -> None:
    """Whether it noticed itself or not; nobody sees a traceback of ours."""
    outcome = _run(make_project, external, "-k", "not template")

    assert outcome.counts == {"passed": 5, "errors": 3, "deselected": 1}
    for name in ("1_sends_nothing", "5_has_its_own_database"):
        assert _UNNOTICED in outcome.section(f"ERROR at teardown of test_{name}")
    said = outcome.section("ERROR at teardown of test_3_writes")
    assert "SandboxLost: The connection that holds the test was cut" in said
    assert "EndpointFailure" not in outcome.text
    assert "EscapedFromSandbox" not in outcome.text


def test_a_template_that_another_run_has_dropped_is_not_needed(
    make_project: MakeProject, external: External
) -> None:
    """The lock that kept it ended with the sessions: the schema is built in the database itself."""
    outcome = _run(make_project, external, "--pg-reuse", "-k", "template or goes_on")

    assert outcome.counts == {"passed": 3, "errors": 1, "deselected": 3}
    assert _UNNOTICED in outcome.section("ERROR at teardown of test_2_loses_the_template")
