"""A fork in the middle of a transaction: the child keeps nothing of its parent's connections."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject

_FORKING = """
import gc
import os
import sys


def in_child(work, *, leave=os._exit):
    \"\"\"Do *work* in a forked child, leave it, and return the child's status.\"\"\"
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = work() or 0
            gc.collect()
        finally:
            leave(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

_CONFTEST = """
import pytest
import sqlalchemy
from models import Item
from sqlalchemy.orm import Session


@pytest.fixture(params=["psycopg2", "psycopg"])
def engine(request, pg):
    url = sqlalchemy.make_url(pg.url).set(drivername=f"postgresql+{request.param}")
    engine = sqlalchemy.create_engine(url)
    yield engine
    engine.dispose()
"""

_TESTS = """
import asyncio
import os
import sys

import asyncpg
import psycopg
import psycopg2
import pytest
from forking import in_child
from models import Item
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

COUNT = text("select count(*) from items")
WAYS = pytest.mark.parametrize("leave", [os._exit, sys.exit])


def counts(engine, expected):
    with engine.connect() as connection:
        return int(connection.scalar(COUNT) != expected)


@WAYS
def test_a_transaction_goes_on(engine, leave):
    with Session(engine) as session:
        session.add(Item(name="tea"))
        session.flush()
        assert in_child(lambda: None, leave=leave) == 0
        session.add(Item(name="milk"))
        session.commit()
    assert counts(engine, 2) == 0


@WAYS
def test_a_child_has_connections_of_its_own(engine, leave, db_session):
    with Session(engine) as session, engine.connect() as other:
        other.scalar(COUNT)
        other.close()
        session.add(Item(name="tea"))
        session.flush()

        def work():
            with Session(engine) as mine:
                mine.add(Item(name="rum"))
                mine.commit()
            engine.dispose()

        assert in_child(work, leave=leave) == 0
        session.add(Item(name="milk"))
        session.commit()
    assert db_session.query(Item).count() == 3


def test_the_child_can_not_use_what_the_parent_has(engine):
    with engine.connect() as connection:
        connection.execute(text("insert into items (name) values ('tea')"))

        def work():
            with pytest.raises(DBAPIError) as caught:
                connection.execute(text("insert into items (name) values ('rum')"))
            connection.close()
            return int(not caught.value.connection_invalidated)

        assert in_child(work) == 0
        connection.execute(text("insert into items (name) values ('milk')"))
        connection.commit()
    assert counts(engine, 2) == 0


@pytest.mark.parametrize("driver", [psycopg2, psycopg])
def test_a_connection_of_the_driver_itself(pg, driver):
    url = make_url(pg.url).set(drivername="postgresql").render_as_string(False)
    connection = driver.connect(url)
    connection.cursor().execute("create temporary table mine (id int)")
    assert in_child(connection.close) == 0
    connection.cursor().execute("insert into mine values (1)")
    connection.close()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_an_idle_loop(pg, driver, db_session):
    url = make_url(pg.url).set(drivername=f"postgresql+{driver}")

    async def work(engine):
        async with engine.begin() as connection:
            await connection.execute(text("insert into items (name) values ('rum')"))

    async def forking():
        engine = create_async_engine(url)
        async with engine.connect() as idle:
            await idle.scalar(COUNT)
            async with engine.begin() as connection:
                await connection.execute(text("insert into items (name) values ('tea')"))
                await idle.close()
                assert in_child(lambda: asyncio.run(work(engine))) == 0
                await connection.execute(text("insert into items (name) values ('milk')"))
            async with engine.connect() as connection:
                assert await connection.scalar(COUNT) == 3
        await engine.dispose()

    asyncio.run(forking())
    assert db_session.query(Item).count() == 3


def test_a_loop_that_forgets_its_sockets(pg):
    url = make_url(pg.url).set(drivername="postgresql").render_as_string(False)

    async def forking():
        connection = await asyncpg.connect(url)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("insert into items (name) values ('tea')")
        assert in_child(connection.terminate) == 0
        await connection.execute("insert into items (name) values ('milk')")
        await transaction.commit()
        found = await connection.fetchval("select count(*) from items")
        await connection.close()
        return found

    assert asyncio.run(asyncio.wait_for(forking(), 20)) == 2


def test_the_status_of_a_child(db_session):
    db_session.add(Item(name="tea"))
    db_session.flush()

    assert in_child(lambda: 3, leave=sys.exit) == 3
    assert in_child(lambda: 1 / 0) == 99
    assert db_session.query(Item).count() == 1


@pytest.mark.parametrize(
    ("way", "status"), [("return", 0), ("exit", 1), ("fail", 1)], ids=["return", "exit", "fail"]
)
def test_a_child_that_comes_back(db_session, way, status):
    child = os.fork()
    if child == 0 and way == "return":
        return
    if child == 0 and way == "exit":
        sys.exit("no more tea")
    assert child != 0, "a child has failed"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status


@pytest.mark.parametrize("time", range(2))
def test_nothing_is_left(db_session, pg, time):
    assert db_session.query(Item).count() == 0
    assert pg.outside("select count(*) from items") == 0
"""


def files() -> dict[str, str]:
    """The project whose tests fork."""
    return {
        "forking.py": _FORKING,
        "conftest.py": _CONFTEST,
        "tests/integration/test_forks.py": _TESTS,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("-p", "no:randomly"), id="in order"),
        pytest.param(("-p", "xdist", "-n", "2"), id="two workers", marks=pytest.mark.nightly),
        pytest.param(("-p", "randomly"), id="random", marks=pytest.mark.nightly),
    ],
)
def test_a_fork_harms_nobody(make_project: MakeProject, arguments: tuple[str, ...]) -> None:
    """Neither by what the child does with the parent's connections, nor by its end."""
    outcome = make_project(files()).run(*arguments)

    assert (outcome.code, outcome.counts) == (0, {"passed": 21}), outcome.text


def test_a_child_says_why_it_ends(make_project: MakeProject) -> None:
    """As Python would, and once: it runs no other test, and reports nothing."""
    outcome = make_project(files()).run("-k", "comes_back", "-p", "no:randomly")

    assert outcome.err.count("no more tea") == 1
    assert outcome.err.count("AssertionError: a child has failed") == 1
    assert outcome.counts == {"passed": 3, "deselected": 18}
