"""What an application wrote and never committed, and what was read of it: which tests fail."""

from __future__ import annotations

import re

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome
from tests.kit.nightly import by_night

_APPLICATION = """
    import os
    import threading
    from contextlib import contextmanager

    import click
    import psycopg2
    from flask import Flask, g, request
    from models import Item
    from sqlalchemy import create_engine, delete, func, select, text
    from sqlalchemy.orm import Session, scoped_session, sessionmaker

    engine = create_engine("postgresql+<driver>://shop@localhost/shop")
    current = scoped_session(sessionmaker(engine))
    web = Flask("shop")

    def add(name, session=None):
        (session or current).add(Item(name=name))
        (session or current).flush()

    @web.post("/forgets")
    def forgets():
        add("tea")
        return ""

    @web.post("/forgets_after_a_query")
    def forgets_after_a_query():
        current.add(Item(name="tea"))
        return str(current.scalar(select(func.count(Item.id))))

    @web.post("/commits")
    def commits():
        add("tea")
        current.commit()
        return ""

    @web.post("/rolls_back")
    def rolls_back():
        add("tea")
        current.rollback()
        return ""

    @web.post("/goes_back")
    def goes_back():
        with current.begin_nested() as nested:
            add("tea")
            nested.rollback()
        return ""

    @web.post("/deletes_nothing")
    def deletes_nothing():
        current.execute(delete(Item))
        return ""

    @web.post("/writes_temporary_rows")
    def writes_temporary_rows():
        current.execute(text("create temporary table parts (n int)"))
        current.execute(text("with made as (insert into parts values (1) returning n) select 1"))
        return ""

    @web.post("/writes_in_a_with")
    def writes_in_a_with():
        statement = "with made as (insert into items (name) values ('tea') returning id) "
        current.execute(text(statement + "select id from made"))
        return ""

    @web.post("/writes_in_a_function")
    def writes_in_a_function():
        current.execute(text("select add_item('tea')"))
        return ""

    @web.post("/given")
    def given():
        add("tea", web.config["session"])
        return ""

    @web.get("/items")
    def items():
        return str(current.scalar(select(func.count(Item.id))))

    @web.get("/items/<name>")
    def item(name):
        with Session(engine) as session:
            found = session.scalar(select(Item).where(Item.name == name))
            return found.name if found else "none"

    @web.post("/asks_a_service")
    def asks_a_service():
        add("tea")
        answer = item(request.args.get("name", "tea"))
        current.commit()
        return answer

    @web.post("/raw")
    def raw():
        web.raw = psycopg2.connect("postgresql://shop@localhost/shop")
        web.raw.cursor().execute("insert into items (name) values ('tea')")
        return ""

    @click.command()
    def command():
        add("tea")

    jobs = []

    def job():
        jobs.append(Session(engine))
        add("tea", jobs[-1])

    def in_steps():
        session = Session(engine)
        for step in [lambda: add("tea", session), lambda: item("tea"), session.commit]:
            thread = threading.Thread(target=step)
            thread.start()
            thread.join()
"""

_CONFTEST = """
    import application
    import pytest
    from sqlalchemy.orm import Session

    @pytest.fixture(autouse=True)
    def clean():
        yield
        application.current.remove()
        while application.jobs:
            application.jobs.pop().close()

    @pytest.fixture
    def client():
        return application.web.test_client()

    @pytest.fixture
    def given(client):
        with Session(application.engine) as session:
            application.web.config["session"] = session
            yield client

    @pytest.fixture
    def returned(client):
        application.web.config["session"] = session = Session(application.engine)
        return session

    @pytest.fixture
    def in_a_transaction(client):
        connection = application.engine.connect()
        transaction = connection.begin()
        application.current.remove()
        application.current.configure(bind=connection)
        yield client
        application.current.remove()
        transaction.rollback()
        connection.close()
        application.current.configure(bind=application.engine)

    @pytest.fixture
    def commits_at_the_end(client):
        yield client
        application.current.commit()
"""

_TESTS = """
    import os
    import subprocess
    import sys
    import threading
    import unittest

    import application
    import pytest
    from application import add, current
    from click.testing import CliRunner
    from models import Item
    from sqlalchemy import func, insert, select, text

    COUNT = select(func.count(Item.id))

    def test_found_a_request_that_forgets(client):
        client.post("/forgets")
        assert current.scalar(COUNT) == 1

    def test_found_after_a_query(client):
        assert client.post("/forgets_after_a_query").text == "1"

    def test_found_in_a_with(client):
        client.post("/writes_in_a_with")

    def test_found_in_a_function(client, db_session):
        db_session.execute(text(
            "create function add_item(text) returns void language sql "
            "as 'insert into items (name) values ($1)'"
        ))
        db_session.commit()
        client.post("/writes_in_a_function")

    def test_found_in_a_command():
        assert CliRunner().invoke(application.command).exit_code == 0

    def test_found_in_a_thread():
        thread = threading.Thread(target=application.job)
        thread.start()
        thread.join()

    def test_found_on_a_raw_connection(client):
        client.post("/raw")

    def test_found_in_a_child(pg):
        code = (
            "import psycopg2, sys, time; c = psycopg2.connect(sys.argv[1]); "
            "c.cursor().execute(\\"insert into items (name) values ('tea')\\"); "
            "print('done', flush=True); sys.stdin.read()"
        )
        url = pg.url.replace("+<driver>", "")
        child = subprocess.Popen(
            [sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        application.child = child
        assert child.stdout.readline() == b"done\\n"

    def test_the_child_ends():
        application.child.communicate()

    def test_read_by_the_test(client, db_session):
        client.post("/forgets")
        assert db_session.scalar(COUNT) == 1

    def test_read_of_what_the_test_called(db_session):
        add("tea")
        assert db_session.scalar(COUNT) == 1

    def test_read_by_another_connection(client):
        assert client.post("/asks_a_service").text == "tea"

    def test_read_with_a_with(client, db_session):
        client.post("/forgets")
        counted = "with recursive found as (select * from items) select count(*) from found"
        assert db_session.scalar(text(counted)) == 1

    def test_quiet_where_other_rows_are_read(client, db_session):
        db_session.add(Item(name="milk"))
        db_session.commit()
        assert client.post("/asks_a_service?name=milk").text == "milk"

    def test_quiet_where_threads_of_their_own_write_and_read():
        application.in_steps()

    def test_quiet_where_nothing_is_found(client):
        assert client.post("/asks_a_service?name=milk").text == "none"

    def test_quiet_where_it_commits(client, db_session):
        client.post("/commits")
        assert db_session.scalar(COUNT) == 1

    def test_quiet_where_it_rolls_back(client, db_session):
        client.post("/rolls_back")
        assert db_session.scalar(COUNT) == 0

    def test_quiet_where_it_goes_back(client):
        client.post("/goes_back")

    def test_quiet_where_no_row_is_written(client):
        client.post("/deletes_nothing")

    def test_quiet_where_rows_are_temporary(client):
        client.post("/writes_temporary_rows")

    def test_quiet_of_what_the_test_arranges(db_session, client):
        db_session.add(Item(name="tea"))
        db_session.flush()
        assert client.get("/items").text == "1"

    def test_quiet_of_what_the_test_adds_to_the_applications_session(client):
        current.add(Item(name="tea"))
        assert client.get("/items").text == "1"

    def test_quiet_of_what_the_test_writes_itself():
        current.execute(insert(Item).values(name="tea"))

    def test_quiet_of_what_the_test_changes_in_the_applications_session(client, db_session):
        db_session.add(Item(name="tea"))
        db_session.commit()
        current.scalar(select(Item)).name = "milk"
        assert client.get("/items").text == "1"

    def test_quiet_of_what_the_test_calls_by_itself():
        add("tea")
        assert current.scalar(COUNT) == 1

    def test_quiet_of_a_session_that_a_fixture_holds(given):
        given.post("/given")

    def test_quiet_of_a_session_that_a_fixture_returns(returned, client):
        client.post("/given")

    class TestOwned(unittest.TestCase):
        def setUp(self):
            self.connection = application.engine.connect()
            self.transaction = self.connection.begin()
            current.remove()
            current.configure(bind=self.connection)

        def tearDown(self):
            current.remove()
            self.transaction.rollback()
            self.connection.close()
            current.configure(bind=application.engine)

        def test_quiet_of_a_connection_that_the_test_case_has(self):
            application.web.test_client().post("/commits")

    def test_quiet_of_a_connection_that_a_fixture_holds(in_a_transaction):
        in_a_transaction.post("/forgets")

    def test_quiet_where_the_teardown_commits(commits_at_the_end):
        commits_at_the_end.post("/forgets")

    @pytest.mark.pgsandbox(uncommitted="ignore")
    def test_quiet_where_it_is_meant(client, db_session):
        client.post("/forgets")
        assert db_session.scalar(COUNT) == 1

    @pytest.mark.pgsandbox(isolation="clone")
    def test_quiet_in_a_clone(client, db_session):
        client.post("/forgets")
        assert db_session.scalar(COUNT) == 0
"""

_ASYNC = """
    import pytest
    from fastapi import FastAPI
    from httpx import ASGITransport, AsyncClient
    from models import Item
    from shop import make, opened, web
    from sqlalchemy import func, select

    COUNT = select(func.count(Item.id))
    pytestmark = pytest.mark.asyncio

    @pytest.fixture
    async def client():
        async with AsyncClient(transport=ASGITransport(app=web), base_url="http://shop") as made:
            yield made
        while opened:
            await opened.pop().close()

    async def test_found_a_request_that_forgets(client):
        await client.post("/forgets")

    async def test_read_by_the_test(client, async_db_session):
        await client.post("/forgets")
        assert await async_db_session.scalar(COUNT) == 1

    async def test_quiet_where_it_commits(client, async_db_session):
        await client.post("/commits")
        assert await async_db_session.scalar(COUNT) == 1

    async def test_quiet_of_a_session_that_the_test_holds(client):
        async with make() as session:
            web.state.session = session
            await client.post("/given")
            assert await session.scalar(COUNT) == 1
            await session.rollback()
"""

_SHOP = """
    from fastapi import FastAPI
    from models import Item
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

    make = async_sessionmaker(create_async_engine("postgresql+<driver>://shop@localhost/shop"))
    web = FastAPI()
    opened = []

    @web.post("/forgets")
    async def forgets():
        opened.append(session := make())
        session.add(Item(name="tea"))
        await session.flush()

    @web.post("/commits")
    async def commits():
        async with make() as session, session.begin():
            session.add(Item(name="tea"))

    @web.post("/given")
    async def given():
        web.state.session.add(Item(name="tea"))
        await web.state.session.flush()
"""


def _files(driver: str, files: dict[str, str]) -> dict[str, str]:
    return {name: text.replace("<driver>", driver) for name, text in files.items()}


def _settings(driver: str) -> str:
    return f'url = "postgresql+{driver}://shop@localhost/shop"\nredirect = true'


def _findings(outcome: Outcome) -> dict[str, str]:
    """The error at the end of each test that has one."""
    line = re.compile(r"^_+ ERROR at teardown of (\w+) _+\n(\w+):", re.MULTILINE)
    return dict(line.findall(outcome.out))


@pytest.fixture(scope="module", params=["psycopg2", *by_night("psycopg")])
def outcome(make_project: MakeProject, request: pytest.FixtureRequest) -> Outcome:
    """The run of an application that forgets, by a driver of either protocol."""
    files = {
        "application.py": _APPLICATION,
        "tests/conftest.py": _CONFTEST,
        "tests/integration/test_items.py": _TESTS,
    }
    project = make_project(_files(request.param, files), _settings(request.param))
    return project.run("-p", "no:randomly", seconds=120)


def test_what_is_found(outcome: Outcome) -> None:
    """Every test says by its name what becomes of it, and nothing else is wrong with any."""
    names = re.findall(r"def (test_\w+)", _TESTS)
    expected = {name: "UncommittedWrites" for name in names if "_found_" in name}
    expected |= {name: "DirtyRead" for name in names if name.startswith("test_read_")}

    assert _findings(outcome) == expected
    assert outcome.counts == {"passed": len(names), "errors": len(expected)}


def test_a_finding_names_the_lines(outcome: Outcome) -> None:
    """Of the write and of the read, with their statements."""
    section = outcome.section("ERROR at teardown of test_read_by_another_connection")

    assert re.search(r"written +INSERT INTO items ", section)
    assert re.search(r"at +application\.py:18$", section, re.MULTILINE)
    assert re.search(r"read +SELECT items\.id", section)
    assert re.search(r"from +application\.py:83$", section, re.MULTILINE)


@pytest.mark.parametrize("driver", ["asyncpg", *by_night("psycopg")])
def test_what_is_found_of_an_asynchronous_application(
    make_project: MakeProject, driver: str
) -> None:
    """Its requests run in the test's own event loop."""
    files = {"shop.py": _SHOP, "tests/integration/test_items.py": _ASYNC}
    project = make_project(_files(driver, files), _settings(driver), 'asyncio_mode = "auto"')
    outcome = project.run("-p", "pytest_asyncio.plugin", "-p", "no:randomly")

    assert _findings(outcome) == {
        "test_found_a_request_that_forgets": "UncommittedWrites",
        "test_read_by_the_test": "DirtyRead",
    }
    assert outcome.counts == {"passed": 4, "errors": 2}


def test_the_setting_warns(make_project: MakeProject) -> None:
    """In the summary, with the line; and the marker of a class holds for its tests."""
    tests = """
        import application
        import pytest
        from application import web

        def test_forgets():
            web.test_client().post("/forgets")
            application.current.scalar(application.select(1))

        @pytest.mark.pgsandbox(uncommitted="fail")
        class TestStrict:
            @pytest.mark.pgsandbox(isolation="sandbox")
            def test_forgets(self):
                web.test_client().post("/forgets")
    """
    files = {"application.py": _APPLICATION, "tests/integration/test_items.py": tests}
    project = make_project(_files("psycopg2", files), _settings("psycopg2"))
    outcome = project.run("--pg-uncommitted=warn", "-p", "no:randomly")

    assert outcome.counts == {"passed": 2, "errors": 1}
    assert outcome.line("pgsandbox: a passing test left work uncommitted:").endswith(
        "test_items.py::test_forgets (UncommittedWrites at application.py:18)"
    )


def test_a_wrong_marker_is_refused(make_project: MakeProject) -> None:
    """With what it takes."""
    tests = """
        import pytest

        @pytest.mark.pgsandbox(uncommitted="never")
        def test_nothing():
            pass
    """
    outcome = make_project({"tests/integration/test_items.py": tests}).run()

    assert outcome.code == pytest.ExitCode.USAGE_ERROR
    assert 'uncommitted must be "fail", "warn" or "ignore", not \'never\'' in outcome.text


def test_a_test_case_that_did_not_pass_is_told_once(make_project: MakeProject) -> None:
    """pytest keeps what a TestCase raised until after its call, which ends as if it had passed."""
    application = """
        import threading

        from models import Item
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session

        kept = []

        def job(url):
            kept.append(Session(create_engine(url)))
            kept[-1].add(Item(name="tea"))
            kept[-1].flush()

        def forget(url):
            thread = threading.Thread(target=job, args=[url])
            thread.start()
            thread.join()
    """
    tests = """
        import unittest

        import pytest
        from application import forget

        class TestForgetting(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def forgets(self, pg):
                self.url = pg.url

            def test_fails(self):
                forget(self.url)
                self.fail()

            def test_skips(self):
                forget(self.url)
                self.skipTest("not here")

            @unittest.expectedFailure
            def test_is_expected_to_fail(self):
                forget(self.url)
                self.fail()

            def test_passes(self):
                forget(self.url)
    """
    files = {"application.py": application, "tests/integration/test_items.py": tests}
    outcome = make_project(files).run("-p", "no:randomly")

    assert outcome.counts == {"failed": 1, "skipped": 1, "xfailed": 1, "passed": 1, "errors": 1}
    assert "ERROR at teardown of TestForgetting.test_passes" in outcome.out
