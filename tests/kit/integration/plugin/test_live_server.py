"""``live_server``: an application over HTTP, whose requests are part of the running test."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome
from tests.kit.integration.recorded import normalised, recorded
from tests.kit.nightly import by_night

_SHOP = """
import threading

from flask import Flask
from models import Item
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

may_go_on = threading.Event()


def create_app(url):
    app = Flask("shop")
    engine = create_engine(url)

    @app.post("/items/<item>")
    def add(item):
        with Session(engine) as session:
            session.add(Item(name=item))
            session.commit()
        return "added"

    @app.get("/items")
    def count():
        with Session(engine) as session:
            return str(session.scalar(select(func.count(Item.id))))

    @app.get("/slow")
    def slow():
        may_go_on.wait()
        return "late"

    return app
"""

_CONFTEST = """
import pytest
from shop import create_app


@pytest.fixture(scope="session")
def app(pg):
    return create_app(pg.url)
"""

_ASKING = """
from urllib.request import Request, urlopen


def ask(url, method="GET"):
    with urlopen(Request(url, method=method), timeout=10) as answer:
        return answer.read().decode()
"""

_TESTS = """
from asking import ask
from models import Item


@pytest.mark.parametrize("time", range(3))
def test_a_request_commits(live_server, db_session, pg, time):
    db_session.add(Item(name="tea"))
    db_session.flush()

    assert ask(f"{live_server.url}/items/milk", "POST") == "added"
    assert ask(f"{live_server.url}/items") == "2"
    assert db_session.query(Item).count() == 2
    assert pg.outside("select count(*) from items") == 0
"""

_PROJECT = {"shop.py": _SHOP, "asking.py": _ASKING, "conftest.py": _CONFTEST}


def files_with(text: str) -> dict[str, str]:
    """A project with *text* as its tests."""
    return {**_PROJECT, "tests/integration/test_served.py": f"import pytest\n{text}"}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="one"),
        pytest.param(("-p", "xdist", "-n", "2"), id="two", marks=pytest.mark.nightly),
        pytest.param(("-p", "randomly"), id="random", marks=pytest.mark.nightly),
    ],
)
def test_requests_are_part_of_the_test(
    make_project: MakeProject, arguments: tuple[str, ...]
) -> None:
    """They see what it has flushed, it sees what they commit, and the next test nothing of it."""
    outcome = make_project(files_with(_TESTS)).run(*arguments)

    assert (outcome.code, outcome.counts) == (0, {"passed": 3})


def test_the_application_may_be_that_of_the_settings(make_project: MakeProject) -> None:
    """Where no fixture ``app`` is, and its URL is sent to the test database."""
    files = files_with(_TESTS)
    files["conftest.py"] = ""
    url = "postgresql+psycopg2://dev@127.0.0.1:1/<name>"
    files["shop.py"] += f'\napp = create_app("{url}")\n'
    settings = f'app = "shop:app"\nurl = "{url}"\nredirect = true\n'
    outcome = make_project(files, settings).run()

    assert (outcome.code, outcome.counts) == (0, {"passed": 3})


_KEPT = """
import socket

from asking import ask

kept = []


@pytest.mark.parametrize("time", range(2))
def test_a_client_keeps_its_connection(live_server, time):
    host, port = live_server.url.removeprefix("http://").split(":")
    kept.append(socket.create_connection((host, int(port))))
    assert ask(f"{live_server.url}/items") == "0"
"""


def test_a_client_may_keep_its_connection(make_project: MakeProject) -> None:
    """As a browser does that connects ahead; nobody waits for a request that it might send."""
    outcome = make_project(files_with(_KEPT)).run()

    assert outcome.counts == {"passed": 2}, outcome.text


_ASGI = """
from contextlib import asynccontextmanager

from fastapi import FastAPI
from models import Item
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

seen = []


def create_app(url):
    engine = create_async_engine(url)

    @asynccontextmanager
    async def lifespan(app):
        seen.append("up")
        yield
        seen.append("down")

    app = FastAPI(lifespan=lifespan)

    @app.post("/items/{name}")
    async def add(name: str):
        async with AsyncSession(engine) as session:
            session.add(Item(name=name))
            await session.commit()

    @app.get("/items")
    async def count():
        async with AsyncSession(engine) as session:
            return await session.scalar(select(func.count(Item.id)))

    return app
"""


@pytest.mark.parametrize("driver", ["asyncpg", *by_night("psycopg")])
def test_an_asgi_application(make_project: MakeProject, driver: str) -> None:
    """By uvicorn, on a loop of each test, with the application's lifespan around it."""
    text = _TESTS.replace('"added"', '"null"') + (
        "\n\ndef test_lifespan():\n    import shop\n\n    assert shop.seen == ['up', 'down'] * 3\n"
    )
    files = {**files_with(text), "shop.py": _ASGI}
    url = f'url = "postgresql+{driver}://dev@127.0.0.1:1/<name>"'
    outcome = make_project(files, url).run("-p", "no:randomly", "-W", "error")

    assert (outcome.code, outcome.counts) == (0, {"passed": 4}), outcome.text


_IN_TROUBLE = """
from threading import Thread

import shop
from asking import ask


@pytest.fixture
def app(request):
    return getattr(request, "param", shop.create_app("postgresql+psycopg2://"))


@pytest.mark.parametrize("app", [None, 1], indirect=True)
def test_no_application(live_server, app):
    live_server.url


def test_a_request_that_does_not_end(live_server):
    Thread(target=ask, args=[f"{live_server.url}/slow"], daemon=True).start()
    shop.has_begun.wait(10)


async def failing(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})


@pytest.mark.parametrize("app", [failing], indirect=True)
def test_an_application_that_does_not_start(live_server, app):
    live_server.url


def test_a_server_that_ends(live_server):
    live_server.start(["false"])


def test_a_server_that_does_not_listen(live_server):
    live_server.start(["sleep", "60"], timeout=0.1)


def test_nobody_asks(live_server):
    assert live_server.app is not None
"""


@pytest.fixture(scope="module")
def trouble(make_project: MakeProject) -> Outcome:
    """What a run of tests said whose servers do not serve."""
    files = files_with(_IN_TROUBLE)
    files["shop.py"] = files["shop.py"].replace(
        "        may_go_on.wait()", "        has_begun.set()\n        may_go_on.wait()"
    )
    files["shop.py"] += "\nhas_begun = threading.Event()\n"
    del files["conftest.py"]
    return make_project(files).run("-p", "no:randomly", "--tb=short")


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("test_no_application[None]", "there is none."),
        ("test_no_application[1]", "application    int"),
        (
            "ERROR at teardown of test_a_request_that_does_not_end",
            "live_server: 5 s after the test, GET /slow still runs.",
        ),
        (
            "test_an_application_that_does_not_start[failing]",
            "live_server: the application did not start",
        ),
        ("test_a_server_that_ends", "live_server: false ended with status 1"),
        ("test_a_server_that_does_not_listen", "live_server: sleep does not listen on port"),
    ],
)
def test_what_does_not_serve_is_named(trouble: Outcome, title: str, message: str) -> None:
    """In the test that asked for it."""
    assert message in trouble.section(title)


def test_the_failures_are_those_of_the_chapter(trouble: Outcome) -> None:
    """A command that ends, and a request that does not."""
    said = [line for line in trouble.out.splitlines() if line.startswith("live_server: ")]
    shown = [line for line in said if " ended " in line or "still runs" in line]
    text = normalised("\n".join(sorted(shown, reverse=True)))

    assert len(shown) == 2
    assert text == recorded("output/live-server", text)


def test_a_server_that_nobody_asks_for_is_not_started(trouble: Outcome) -> None:
    """The others have failed, each for its own reason."""
    assert trouble.counts == {"failed": 5, "passed": 2, "errors": 1}


_OF_ITS_OWN = """
import os
import sys

from asking import ask
from models import Item

pids = []


@pytest.mark.parametrize("time", range(2))
def test_a_server_of_its_own(live_server, db_session, pg, time, tmp_path):
    db_session.add(Item(name="tea"))
    db_session.flush()
    command = [sys.executable, "-m", "flask", "--app", "served", "run", "--port", "{port}"]
    told = tmp_path / "pid"
    url = live_server.start(command, environ={"PYTHONPATH": ".", "TELL_PID": str(told)})

    for ended in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(ended, 0)
    pids.append(int(told.read_text()))
    os.kill(pids[-1], 0)
    assert ask(f"{url}/items/milk", "POST") == "added"
    assert ask(f"{live_server.url}/items") == ask(f"{url}/items") == "2"
    assert pg.outside("select count(*) from items") == 0


def test_nothing_is_left(pg, db_session):
    assert db_session.query(Item).count() == 0
"""


_SERVED = """
import os
from pathlib import Path

from shop import create_app

Path(os.environ["TELL_PID"]).write_text(str(os.getpid()))
app = create_app(os.environ["SHOP_URL"])
"""


def test_a_server_of_its_own_process(make_project: MakeProject) -> None:
    """It has the URL of the running test by a variable, and ends with the test."""
    files = files_with(_OF_ITS_OWN)
    files["served.py"] = _SERVED
    outcome = make_project(files, 'child-env = ["SHOP_URL"]').run("-p", "no:randomly")

    assert (outcome.code, outcome.counts) == (0, {"passed": 3}), outcome.text


_BESIDE = """
from asking import ask


def test_theirs(request):
    assert request.getfixturevalue("live_server").url("/items").endswith("/items")


def test_ours(pgsandbox_live_server, pg):
    assert ask(f"{pgsandbox_live_server.url}/items/milk", "POST") == "added"
    assert pg.outside("select count(*) from items") == 0
"""

_TAKEN = """
from asking import ask


@pytest.fixture
def live_server(pgsandbox_live_server):
    return pgsandbox_live_server


@pytest.mark.parametrize("time", range(2))
def test_ours(live_server, app, pg, time):
    assert ask(f"{live_server.url}/items/milk", "POST") == "added"
    assert pg.outside("select count(*) from items") == 0
"""


@pytest.mark.parametrize(("text", "count"), [(_BESIDE, 2), (_TAKEN, 2)], ids=["beside", "taken"])
def test_pytest_flask_keeps_the_name(make_project: MakeProject, text: str, count: int) -> None:
    """Its own fixture is as ever, ours has another name, and a project may give it that one."""
    outcome = make_project(files_with(text)).run("-p", "pytest_flask.plugin", "-p", "no:randomly")

    assert (outcome.code, outcome.counts) == (0, {"passed": count}), outcome.text


def test_their_server_is_part_of_the_test(make_project: MakeProject) -> None:
    """It is a forked process, whose requests join the running test as those of any child."""
    text = """
from asking import ask
from models import Item


@pytest.mark.parametrize("time", range(2))
def test_theirs(live_server, db_session, time):
    db_session.add(Item(name="tea"))
    db_session.flush()

    assert ask(live_server.url("/items/milk"), "POST") == "added"
    assert ask(live_server.url("/items")) == "2"
    assert db_session.query(Item).count() == 2
"""
    outcome = make_project(files_with(text)).run("-p", "pytest_flask.plugin", "-p", "no:randomly")

    assert (outcome.code, outcome.counts) == (0, {"passed": 2}), outcome.text
