"""pgsandbox beside other plugins."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject

_APPLICATION = """
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Item(db.Model):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


def create_app(url):
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)

    @app.post("/items/<item>")
    def add(item):
        db.session.add(Item(name=item))
        db.session.commit()
        return {"items": db.session.query(Item).count()}

    return app
"""

# What pytest-flask does: fixtures of everyday names, one of them for every test, with a pushed
# context for as long as the test runs.
_FLASK_PLUGIN = """
import pytest


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture(autouse=True)
def _push_request_context(request):
    if "app" not in request.fixturenames:
        return
    context = request.getfixturevalue("app").test_request_context()
    context.push()
    request.addfinalizer(context.pop)
"""

_FLASK_TESTS = """
import pytest
from models import Item, create_app, db


@pytest.fixture(scope="session")
def url():
    return "postgresql+psycopg2://dev@127.0.0.1:1/<name>"


@pytest.fixture
def app(url):
    return create_app(url)


@pytest.mark.parametrize("time", range(2))
def test_request(client, db_session, pg, time):
    db_session.add(Item(name="tea"))
    db_session.flush()

    assert client.post("/items/rum").json == {"items": 2}
    assert db.session.query(Item).count() == 2
    assert pg.outside("select count(*) from items") == 0


def test_session_of_the_application_before_ours(app, db_session):
    db.session.add(Item(name="tea"))
    db.session.commit()
    assert db_session.query(Item).count() == 1
"""


def test_flask_and_its_plugin(make_project: MakeProject) -> None:
    """Fixtures named app and client, an application for each test, a context around it."""
    project = make_project(
        {
            "models.py": _APPLICATION,
            "conftest.py": _FLASK_PLUGIN,
            "tests/integration/test_flask.py": _FLASK_TESTS,
        },
        'url = "postgresql+psycopg2://dev@127.0.0.1:1/<name>"\nredirect = true',
    )
    project.configure(
        '[tool.pgsandbox]\nmetadata = "models:db"\nredirect = true\n'
        'url = "postgresql+psycopg2://dev@127.0.0.1:1/<name>"'
    )
    outcome = project.run()

    assert (outcome.code, outcome.counts) == (0, {"passed": 3})


_ASYNC_TESTS = """
import pytest
from models import Item
from sqlalchemy import func, select


@pytest.fixture
async def number():
    return 1


{mark}
@pytest.mark.parametrize("time", range(2))
async def test_async(db_session, db_engine, number, time):
    db_session.add(Item(name="tea"))
    db_session.commit()
    with db_engine.connect() as connection:
        assert connection.scalar(select(func.count(Item.id))) == number


def test_sync(db_session):
    assert db_session.scalar(select(func.count(Item.id))) == 0
"""


@pytest.mark.parametrize(
    ("plugin", "mark", "ini", "fixture"),
    [
        ("asyncio", "", 'asyncio_mode = "auto"', "pytest.fixture"),
        ("asyncio", "@pytest.mark.asyncio", 'asyncio_mode = "strict"', "pytest_asyncio.fixture"),
        ("anyio", "@pytest.mark.anyio", "", "pytest.fixture"),
    ],
)
def test_asynchronous_tests(
    make_project: MakeProject, plugin: str, mark: str, ini: str, fixture: str
) -> None:
    """An async test may use the synchronous fixtures, and is undone as any other."""
    tests = _ASYNC_TESTS.replace("{mark}", mark).replace("@pytest.fixture", f"@{fixture}")
    files = {
        "tests/integration/test_async.py": f"import {fixture.split('.', maxsplit=1)[0]}\n{tests}",
        "conftest.py": "import pytest\n\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n",
    }
    outcome = make_project(files, ini=ini).run("-p", plugin)

    assert (outcome.code, outcome.counts) == (0, {"passed": 3})


def test_coverage(make_project: MakeProject) -> None:
    """The lines of the project that tests run are measured, with workers and without."""
    files = {
        "shop.py": """
            from models import Item

            def add(session):
                session.add(Item(name="tea"))
                session.commit()

            def never():
                return None
        """,
        "tests/integration/test_shop.py": """
            import shop

            def test_first(db_session):
                shop.add(db_session)

            def test_second(db_session):
                shop.add(db_session)
        """,
    }
    project = make_project(files)
    workers = ("-p", "xdist", "-n", "1")
    outcome = project.run("-p", "pytest_cov", "--cov=shop", "--cov-report=term-missing", *workers)

    assert outcome.counts == {"passed": 2}
    assert outcome.line("shop.py").split() == ["shop.py", "6", "1", "83%", "8"]
