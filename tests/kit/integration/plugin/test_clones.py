"""Tests with a database of their own: real transactions, dropped afterwards, last in the run."""

from __future__ import annotations

import os
import signal

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin import projects
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project, execute

_FILES = {
    "shop.py": """
        from sqlalchemy import create_engine

        engines = []

        def engine(url):
            if not engines:
                engines.append(create_engine(url))
            return engines[0]
    """,
    "child.py": """
        import os

        import psycopg2

        with psycopg2.connect(os.environ["SHOP_URL"].replace("+psycopg2", "")) as connection:
            connection.cursor().execute("insert into items (name) select name || 2 from items")
    """,
    "tests/integration/test_clones.py": """
        import os
        import select as readiness
        import subprocess
        import sys
        import threading
        from concurrent.futures import ThreadPoolExecutor

        import psycopg2
        import pytest
        from models import Item
        from shop import engine
        from sqlalchemy import create_engine, func, select, text
        from sqlalchemy.exc import OperationalError
        from sqlalchemy.orm import Session, scoped_session, sessionmaker

        def select_readable(connection):
            return readiness.select([connection], [], [], 20)[0]

        clone = pytest.mark.pgsandbox(isolation="clone")

        @clone
        def test_commits_are_real(db_session, pg):
            db_session.add(Item(name="tea"))
            db_session.commit()
            assert pg.outside("select count(*) from items") == 1

        @clone
        def test_a_clone_begins_as_the_test_database_did(db_session, pg):
            assert db_session.scalar(select(func.count(Item.id))) == 0

        @clone
        def test_locks_are_real(db_session, db_engine):
            db_session.add(Item(name="tea"))
            db_session.commit()
            with Session(db_engine) as one, Session(db_engine) as other:
                one.execute(text("select * from items for update"))
                other.execute(text("set lock_timeout = '20ms'"))
                with pytest.raises(OperationalError, match="lock timeout"):
                    other.execute(text("select * from items for update"))

        @clone
        def test_what_needs_no_transaction_runs(pg):
            engine = create_engine(pg.url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text("vacuum items"))
                connection.execute(text("create index concurrently on items (name)"))
            assert "vacuum items" in pg.statements

        @clone
        def test_the_driver_itself_may_connect(pg):
            with psycopg2.connect(pg.url.replace("+psycopg2", "")) as connection:
                connection.cursor().execute("insert into items (name) values ('tea')")
            assert pg.outside("select count(*) from items") == 1

        @clone
        def test_other_databases_are_still_refused(pg):
            create_engine("postgresql+psycopg2://127.0.0.1/production").connect()

        @clone
        def test_a_pool_is_renewed_on_the_way_in(pg):
            with Session(engine(pg.url)) as session:
                session.add(Item(name="tea"))
                session.commit()
            assert pg.outside("select count(*) from items") == 1

        @clone
        def test_a_url_for_children(pg):
            assert os.environ["SHOP_URL"] == pg.url

        @clone
        def test_notifications_arrive(pg):
            listener = psycopg2.connect(pg.url.replace("+psycopg2", ""))
            listener.autocommit = True
            listener.cursor().execute("listen items")
            with create_engine(pg.url).begin() as connection:
                connection.execute(text("notify items, 'tea'"))
            assert select_readable(listener)
            listener.poll()
            assert [each.payload for each in listener.notifies] == ["tea"]

        @clone
        def test_serializable_transactions_fail_for_real(db_session, pg):
            engine = create_engine(pg.url, isolation_level="SERIALIZABLE")
            with engine.connect() as one, engine.connect() as other:
                for each, name in ((one, "tea"), (other, "milk")):
                    each.execute(text("select count(*) from items"))
                    each.execute(text("insert into items (name) values (:n)"), {"n": name})
                one.commit()
                with pytest.raises(OperationalError, match="could not serialize"):
                    other.commit()

        @clone
        def test_workers_skip_locked_rows(db_session, pg):
            db_session.add_all([Item(name="tea"), Item(name="milk")])
            db_session.commit()
            engine = create_engine(pg.url)
            take = text("select name from items order by id for update skip locked limit 1")
            with engine.connect() as one, engine.connect() as other:
                assert [one.scalar(take), other.scalar(take)] == ["tea", "milk"]

        @clone
        def test_threads_commit_at_once(pg):
            met = threading.Barrier(4)
            def work(number):
                with engine(pg.url).begin() as connection:
                    insert = text("insert into items (name) values (:name)")
                    connection.execute(insert, {"name": str(number)})
                    met.wait(20)
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, range(4)))
            assert pg.outside("select count(*) from items") == 4

        @clone
        def test_a_child_process_sees_and_writes_rows(db_session, pg):
            db_session.add(Item(name="tea"))
            db_session.commit()
            subprocess.run([sys.executable, "child.py"], check=True)
            assert pg.outside("select count(*) from items") == 2

        @clone
        def test_its_own_connection_may_be_cut(db_session, pg):
            with pytest.raises(OperationalError):
                db_session.execute(text("select pg_terminate_backend(pg_backend_pid())"))
            db_session.rollback()
            assert db_session.scalar(select(func.count(Item.id))) == 0

        left = []

        @clone
        def test_it_may_leave_a_transaction_open(pg):
            left.append(psycopg2.connect(pg.url.replace("+psycopg2", "")))
            left[0].cursor().execute("lock table items")

        @clone
        def test_it_may_leave_a_subscription(pg):
            engine = create_engine(pg.url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text("create publication all_items for all tables"))
                connection.execute(text(
                    "create subscription other connection 'dbname=nowhere' publication all_items"
                    " with (connect = false, slot_name = none)"
                ))

        class TestMarkedClass:
            pytestmark = pytest.mark.pgsandbox(isolation="clone")

            def test_in_a_marked_class(self, pg):
                assert "_clone" in pg.url

        marked = []

        @clone
        @pytest.mark.parametrize("time", ["first", "second"])
        def test_an_engine_of_an_earlier_clone_opens_this_one(pg, time):
            marked.append(pg.url)
            assert len(set(marked)) == len(marked)
            with create_engine(marked[0]).connect() as connection:
                name = connection.scalar(text("select current_database()"))
            assert name == pg.url.split("?")[0].split("/")[-1]

        def test_sandboxed(pg, db_session):
            with Session(engine(pg.url)) as session:
                session.add(Item(name="tea"))
                session.commit()
            assert db_session.scalar(select(func.count(Item.id))) == 1
            assert pg.outside("select count(*) from items") == 0
            assert os.environ["SHOP_URL"] == pg.url
    """,
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """A project with tests that ask for a clone and one that does not."""
    return make_project(_FILES, 'child-env = ["SHOP_URL"]')


@pytest.fixture(scope="module")
def outcome(project: Project) -> Outcome:
    """What a run of them all said."""
    return project.run("-v", "-p", "no:randomly")


@pytest.mark.parametrize(
    "name",
    [
        "test_commits_are_real",
        "test_a_clone_begins_as_the_test_database_did",
        "test_locks_are_real",
        "test_what_needs_no_transaction_runs",
        "test_the_driver_itself_may_connect",
        "test_a_pool_is_renewed_on_the_way_in",
        "test_a_url_for_children",
        "test_notifications_arrive",
        "test_serializable_transactions_fail_for_real",
        "test_workers_skip_locked_rows",
        "test_threads_commit_at_once",
        "test_a_child_process_sees_and_writes_rows",
        "test_its_own_connection_may_be_cut",
        "test_it_may_leave_a_transaction_open",
        "test_it_may_leave_a_subscription",
        "TestMarkedClass::test_in_a_marked_class",
        "test_an_engine_of_an_earlier_clone_opens_this_one[first]",
        "test_an_engine_of_an_earlier_clone_opens_this_one[second]",
        "test_sandboxed",
    ],
)
def test_a_clone(outcome: Outcome, name: str) -> None:
    """Each fact is a test of the project, named for it."""
    assert f"::{name} PASSED" in outcome.out


def test_a_clone_opens_no_other_database(outcome: Outcome) -> None:
    """The guard stands as it does in the sandbox."""
    assert "::test_other_databases_are_still_refused FAILED" in outcome.out
    assert "ForeignDatabase" in outcome.section("test_other_databases_are_still_refused")


def test_clones_come_last(outcome: Outcome) -> None:
    """The sandboxed test, which stands at the end of the file, runs first."""
    first = next(line for line in outcome.out.splitlines() if "::test_" in line)

    assert "::test_sandboxed" in first


@pytest.mark.usefixtures("outcome")
def test_nothing_stays(project: Project, server: Server) -> None:
    """Neither the test database nor any of its copies."""
    assert projects.databases(server, project.name) == []


def test_workers_have_clones_of_their_own(project: Project, server: Server) -> None:
    """All from one template, which the last of the workers drops."""
    run = project.run("-p", "xdist", "-n", "4", "-p", "randomly")

    assert set(run.counts) == {"passed", "failed"}
    assert run.counts["failed"] == 1  # the one that opens a foreign database
    assert projects.databases(server, project.name) == []


def test_a_failed_clone_can_be_kept(make_project: MakeProject, server: Server) -> None:
    """With --pg-keep, the database of the test that failed stays, and that of another does not."""
    project = make_project(
        {
            "tests/integration/test_clones.py": """
                import pytest
                from models import Item

                pytestmark = pytest.mark.pgsandbox(isolation="clone")

                def test_fails(db_session):
                    db_session.add(Item(name="tea"))
                    db_session.commit()
                    raise AssertionError

                def test_passes(db_session):
                    pass
            """,
        }
    )
    outcome = project.run("--pg-keep", "-p", "no:randomly")
    kept = projects.databases(server, project.name)
    for name in kept:
        execute(server, "drop database {}", name)
    pid = int(outcome.line("pgsandbox: the embedded server runs on").rsplit(" ", 1)[1])
    os.kill(pid, signal.SIGTERM)

    assert kept == [f"{project.name}_clone_test", f"{project.name}_test"]
    assert f"{project.name}_clone_test is kept; look at it with: psql" in outcome.text


def test_a_clones_test_that_ends_the_sandboxs_process_harms_no_other(
    make_project: MakeProject,
) -> None:
    """The sandbox is there again for the next test, and the variables of children say where."""
    conftest = """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(items):
            items.sort(key=lambda item: item.name)  # pgsandbox has moved clones' tests to the end
    """
    tests = """
        import os, signal
        import pytest
        from models import Item
        from sqlalchemy import create_engine, text

        engines = []

        def process(config):
            run = config.pluginmanager.getplugin("pgsandbox-active").run
            return run.run_databases["default"].database.endpoint

        @pytest.fixture
        def kill(pytestconfig):
            def kill():
                os.kill(process(pytestconfig)._process.pid, signal.SIGKILL)
                process(pytestconfig)._process.wait()
            return kill

        @pytest.mark.pgsandbox(isolation="clone")
        def test_1_kills(db_session, kill):
            kill()

        def test_2_works(db_session, db_engine, pytestconfig):
            db_session.add(Item(name="tea"))
            db_session.flush()
            assert process(pytestconfig).folder.name in os.environ["SHOP_URL"]
            assert process(pytestconfig).folder.name in str(db_engine.url)
            engines.append(create_engine(db_engine.url))
            for engine in engines:  # made while another endpoint lived, too
                with engine.connect() as connection:
                    assert connection.scalar(text("select count(*) from items")) == 1

        def test_3_kills(db_session, kill):
            kill()

        test_4_works = test_2_works
    """
    files = {"conftest.py": conftest, "tests/integration/test_it.py": tests}
    run = make_project(files, 'child-env = ["SHOP_URL"]').run("-p", "no:randomly")

    assert run.counts == {"failed": 2, "passed": 2}
    assert run.out.count("pgsandbox explain SandboxLost") == 2
