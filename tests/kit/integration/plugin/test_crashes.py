"""A server that ends every session of a run, as it does when it crashes, in the middle of a test.

The sessions are terminated here: a crash would end those of other tests' projects, too.
"""

from __future__ import annotations

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import MODELS

_SEED = """
def seed(session):
    session.add(Item(name="seeded"))
"""

_TESTS = """
import pytest
from models import Item
from sqlalchemy import select

SESSIONS = '''
    select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
    where pid <> pg_backend_pid()
    and (datname = '<name>_test' or application_name like 'pgsandbox lease%<name>_test%')
'''


def test_1_sends_nothing(pg):
    assert pg.outside(SESSIONS) >= 2

@pytest.mark.pgsandbox(isolation="clone")
def test_2_has_its_own_database(pg):
    assert pg.outside(SESSIONS) >= 2

def test_3_writes(pg, db_session):
    db_session.add(Item(name="tea"))
    db_session.flush()
    assert pg.outside(SESSIONS) >= 2

@pytest.mark.parametrize("time", range(2))
def test_4_goes_on(db_session, time):
    assert db_session.scalars(select(Item.name)).all() == ["seeded"]
"""


def test_each_test_is_told_once_and_the_next_has_a_new_database(make_project: MakeProject) -> None:
    """Whether it noticed itself or not; nobody sees a traceback of ours."""
    files = {"models.py": MODELS + _SEED, "tests/integration/test_items.py": _TESTS}
    project = make_project(files, 'seed = "models:seed"')
    outcome = project.run("-p", "no:randomly")
    unnoticed = "SandboxLost: The server ended all sessions of the run while the test ran"

    assert outcome.counts == {"passed": 5, "errors": 3}
    for name in ("test_1_sends_nothing", "test_2_has_its_own_database"):
        assert unnoticed in outcome.section(f"ERROR at teardown of {name}")
    said = outcome.section("ERROR at teardown of test_3_writes")
    assert "SandboxLost: The connection that holds the test was cut" in said
    assert "EndpointFailure" not in outcome.text
    assert "EscapedFromSandbox" not in outcome.text
