"""What a test changes past the endpoint is found after it, and healed before the next begins."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome

_FILES = {
    "tests/integration/test_escapes.py": """
        import os
        import subprocess
        import sys

        from models import Item
        from psycopg2.extensions import connection as Connection
        from sqlalchemy import func, make_url, select

        def past_the_endpoint(pg, statement):
            url = pg.server.url_of(make_url(pg.url).database, "postgresql")
            connection = Connection(url.render_as_string(hide_password=False))
            connection.cursor().execute(statement)
            connection.commit()
            return connection

        def test_it_opened_nothing_else(pg):
            past_the_endpoint(pg, "insert into items (name) values ('tea')").close()

        def test_the_next_test_is_clean(db_session):
            assert db_session.scalar(select(func.count(Item.id))) == 0

        def test_it_used_the_session_as_well(pg, db_session):
            past_the_endpoint(pg, "create table left_behind ()").close()
            db_session.add(Item(name="tea"))
            db_session.commit()

        def test_the_one_after_is_clean(db_session, pg):
            assert pg.outside("select to_regclass('left_behind')") is None

        def test_it_leaves_a_session(pg):
            test_it_leaves_a_session.connection = past_the_endpoint(pg, "select 1")

        def test_reading_past_the_endpoint_leaves_nothing(pg):
            past_the_endpoint(pg, "select 1").close()

        def test_a_session_that_is_about_to_end_is_not_left(pg):
            script = "import time; time.sleep(0.1)"  # it holds the session's socket, too
            connection = past_the_endpoint(pg, "select 1")
            python = [sys.executable, "-I", "-S"]  # it starts at once, and nothing measures it
            subprocess.Popen([*python, "-c", script], pass_fds=[connection.fileno()])
            os.close(connection.fileno())
    """,
}


@pytest.fixture(scope="module")
def outcome(make_project: MakeProject) -> Outcome:
    """What a run of these tests said."""
    return make_project(_FILES).run("-v", "-p", "no:randomly")


@pytest.mark.parametrize(
    ("name", "evidence"),
    [
        ("test_it_opened_nothing_else", "items: 1 rows written, 1 rows now, 0 before"),
        ("test_it_used_the_session_as_well", "pg_class: objects were created"),
        ("test_it_leaves_a_session", "idle: COMMIT"),
    ],
)
def test_the_test_that_escaped_is_named(outcome: Outcome, name: str, evidence: str) -> None:
    """The error stands at its own teardown, and says what was changed."""
    section = outcome.section(f"ERROR at teardown of {name}")

    assert "EscapedFromSandbox" in section
    assert f"tests/integration/test_escapes.py::{name}\n" in section
    assert evidence in section


def test_no_other_test_is_blamed(outcome: Outcome) -> None:
    """Those that come next find a database without a trace, and pass."""
    assert outcome.counts == {"passed": 7, "errors": 3}
