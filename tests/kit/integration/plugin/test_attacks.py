"""What tests do that hold on to things, wait for ever, or are looked at in the middle."""

from __future__ import annotations

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project, databases

_FILES = {
    "tests/integration/test_attacks.py": """
        import gc
        import weakref

        from models import Item
        from psycopg2.extensions import connection as Connection
        from sqlalchemy import create_engine, func, select, text
        from sqlalchemy.orm import Session

        kept = {}

        def count(session):
            return session.scalar(select(func.count(Item.id)))

        def test_1_keeps_what_refers_to_itself(pg):
            engine = create_engine(pg.url)
            session = Session(engine)
            session.add(Item(name="tea"))
            session.flush()
            session.itself = session
            connection = engine.connect()
            connection.execute(text("insert into items (name) values ('rum')"))
            connection.info["itself"] = connection
            kept["session"] = weakref.ref(session)

        def test_2_it_is_collected_in_the_middle_of_the_next(db_session, db_engine):
            db_session.add(Item(name="tea"))
            db_session.flush()
            gc.collect()
            with db_engine.begin() as connection:
                connection.execute(text("insert into items (name) values ('gin')"))

            assert kept["session"]() is None
            assert count(db_session) == 2

        def test_3_makes_a_temporary_table(db_engine):
            with db_engine.begin() as connection:
                connection.execute(text("create temporary table items (id int)"))
                connection.execute(text("insert into items values (1)"))

        def test_4_sees_the_real_one(db_session):
            assert count(db_session) == 0

        def test_5_sets_what_outlives_a_transaction(db_engine):
            with db_engine.connect() as connection:
                connection.execute(text("set search_path = pg_catalog"))
                connection.execute(text("set timezone = 'Asia/Tokyo'"))
                connection.execute(text("set session characteristics as transaction read only"))
                connection.execute(text("set role pg_monitor"))
                connection.commit()

        def test_6_has_none_of_it(db_session, pg):
            db_session.add(Item(name="tea"))
            db_session.commit()

            role = pg.outside("select session_user")
            assert db_session.scalar(text("select current_user")) == role
            assert db_session.scalar(text("show timezone")) != "Asia/Tokyo"

        def test_7_waits_for_a_lock_until_it_is_too_long(db_session, pg):
            other = kept["other"] = Connection(pg.url.replace("+psycopg2", ""))
            other.cursor().execute("lock table items in access exclusive mode")
            db_session.execute(text("set local lock_timeout = '100ms'"))
            db_session.add(Item(name="tea"))
            db_session.commit()

        def test_8_is_not_held_up(db_session):
            assert count(db_session) == 0

        def test_9_prepares_a_transaction_for_later(pg):
            other = Connection(pg.url.replace("+psycopg2", ""))
            other.tpc_begin("later")
            other.cursor().execute("insert into items (name) values ('tea')")
            other.tpc_prepare()
            other.close()

        def test_99_finds_nothing(db_session, pg):
            assert count(db_session) == 0
            assert pg.outside("select count(*) from pg_prepared_xacts") == 0
    """,
}


@pytest.fixture(scope="module")
def outcome(make_project: MakeProject) -> Outcome:
    """One run of these tests, in the order in which they stand there."""
    return make_project(_FILES).run("-v", "-rA", "-p", "no:randomly")


@pytest.mark.parametrize(
    "name",
    [
        "2_it_is_collected_in_the_middle_of_the_next",
        "4_sees_the_real_one",
        "6_has_none_of_it",
        "8_is_not_held_up",
        "99_finds_nothing",
    ],
)
def test_the_next_test_is_clean(outcome: Outcome, name: str) -> None:
    """Whatever the test before it left, or where it was stopped."""
    assert f"PASSED tests/integration/test_attacks.py::test_{name}\n" in outcome.out
    assert outcome.code == pytest.ExitCode.TESTS_FAILED


_LOOK = """
from models import Item

def test_fails(db_session):
    db_session.add(Item(name="tea"))
    db_session.commit()
    raise RuntimeError("look here")

def test_next(db_session):
    assert db_session.query(Item).count() == 0
"""

_COMMANDS = """
print("rows", db_session.query(Item).count())
continue
"""


def test_a_debugger_looks_at_the_data_of_its_test(
    make_project: MakeProject, server: Server
) -> None:
    """--pdb stops with the sandbox still there, and what goes on afterwards is clean."""
    files = {"tests/integration/test_look.py": _LOOK, ".pdbrc": _COMMANDS}
    project: Project = make_project(files)
    outcome = project.run("--pdb", "-p", "no:randomly")

    assert "rows 1" in outcome.out
    assert outcome.counts == {"failed": 1, "passed": 1}
    assert databases(server, project.name) == []
