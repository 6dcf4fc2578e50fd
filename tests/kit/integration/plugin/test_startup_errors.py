"""What is wrong before any test runs: one clear message, exit code 4, no traceback, soon."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer

import pytest
from sqlalchemy.engine import URL

from pgsandbox.servers import Server
from tests.kit.external import External
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import MODELS, SECRET, Outcome, Project, databases
from tests.kit.integration.servers.strangers import Stranger as Garbage
from tests.kit.nightly import by_night

_LIMIT = 20.0
"""Seconds: ten are promised, and a machine may be busy with other things."""

_TEST = {"tests/integration/test_items.py": "def test_item(db_session): pass\n"}

_GEOMETRY = """
from sqlalchemy.types import UserDefinedType

class Geometry(UserDefinedType):
    cache_ok = True

    def get_col_spec(self):
        return "geometry"

class Place(Base):
    __tablename__ = "places"
    id: Mapped[int] = mapped_column(primary_key=True)
    where = mapped_column(Geometry)
"""

_RAISES = f"""
class Raises:
    @property
    def metadata(self):
        raise RuntimeError("postgresql://dev:{SECRET}@127.0.0.1:1/shop")

Base = Raises()
"""

_CONNECTS = f"""
from sqlalchemy import create_engine

_URL = "postgresql+psycopg2://dev:{SECRET}@127.0.0.1:1/shop"
create_engine(_URL).connect()
"""

_FULL = """
from sqlalchemy import text

def seed(session):
    session.execute(text("do $$ begin raise 'full' using errcode = '53100'; end $$"))
"""

_CUT = """
from sqlalchemy import text

def seed(session):
    session.execute(text("select pg_terminate_backend(pg_backend_pid())"))
"""


class Stranger(StreamRequestHandler):
    """Speaks first, as PostgreSQL never does."""

    def handle(self) -> None:
        """Say what an SSH server says."""
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def _is_one_message(outcome: Outcome) -> bool:
    """Whether the run said one thing, soon, and nothing that it should not say."""
    assert outcome.code == 4, outcome.text
    assert outcome.err.count("ERROR: ") == 1, outcome.text
    assert "Traceback" not in outcome.text
    assert "INTERNALERROR" not in outcome.text
    assert SECRET not in outcome.text
    assert outcome.seconds < _LIMIT
    return True


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    """A URL of a port where somebody else answers."""
    with TCPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"postgresql+psycopg2://dev:{SECRET}@127.0.0.1:{server.server_address[1]}/shop_test"
        server.shutdown()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql+psycopg2://dev:{SECRET}@127.0.0.1:1/shop_test", "ServerUnreachable"),
        (f"postgres://dev:{SECRET}@127.0.0.1:1/shop_test", "ServerUnreachable"),
        (
            "shop_test",
            "ConfigurationError: TEST_DATABASE_URL is not a database URL: it has no scheme.",
        ),
        (f"mysql://dev:{SECRET}@127.0.0.1/shop_test", "names a database of mysql"),
        (f"postgresql+psycopg2://dev:x@{SECRET}@127.0.0.1:1/shop", "which is written as %40"),
        (f"postgresql+psycopg2//dev:{SECRET}@127.0.0.1:1/shop", "a colon is missing before //"),
        (f"postgresql+psycopg2://dev:{SECRET}%40127.0.0.1:1/shop", "is written as %40"),
        (f"postgresql+psycopg2://dev/{SECRET}@127.0.0.1:1/shop", "its last @ stands behind a /"),
        (f"postgresql://dev@127.0.0.1:1/x?options=-c%20a.password%3D{SECRET}", "?options=***"),
        (f"postgresql+psycopg2://dev:{SECRET}@db:$PGPORT/shop", "$PGPORT in it was not expanded"),
        (f"postgresql+psycopg2://dev:{SECRET}@[::1/shop", "IPv6 address is not closed"),
        (f"postgresql+psycopg2://dev:{SECRET}@h1:1,h2:2/shop", "it names several hosts"),
        (f"postgresql://dev:{SECRET}@/x?host=a&host=b&port=1", "one number for each host"),
        (f"postgresql+psycopg2://dev:{SECRET}@127.0.0.1:0/shop", "there is no port 0"),
        (f"postgresql+psycopg2://dev:{SECRET}@127.0.0.1/x?user=a&user=b", "more than once"),
        (f"postgresql+psycopg2://dev:{SECRET}@{'a' * 70}/shop", "label too long"),
    ],
)
def test_a_url_that_leads_nowhere(make_project: MakeProject, url: str, said: str) -> None:
    """It is never silently replaced by another server; also as hosting platforms spell it."""
    outcome = make_project(_TEST).run(TEST_DATABASE_URL=url)

    assert _is_one_message(outcome)
    assert said in outcome.err
    assert "TEST_DATABASE_URL" in outcome.err


def test_a_port_that_is_no_postgresql(make_project: MakeProject, stranger: str) -> None:
    """It answers, in another language."""
    outcome = make_project(_TEST).run(TEST_DATABASE_URL=stranger)

    assert _is_one_message(outcome)
    assert "NotPostgreSQL" in outcome.err


def test_a_port_where_somebody_talks_garbage(make_project: MakeProject) -> None:
    """psycopg2 can't even decode it; no thread of ours dies of that."""
    with Garbage(b"", b"\xff" * 4000) as garbage:
        url = f"postgresql+psycopg2://dev:{SECRET}@127.0.0.1:{garbage.port}/shop_test"
        outcome = make_project(_TEST).run(TEST_DATABASE_URL=url)

    assert _is_one_message(outcome)
    assert "NotPostgreSQL" in outcome.err


@pytest.mark.parametrize(
    ("folder", "said"), [("/srv/a,b", "there is a , in its path"), ("run", "is not absolute")]
)
def test_a_folder_that_no_socket_can_be_in(
    make_project: MakeProject, folder: str, said: str
) -> None:
    """PostgreSQL would take the one for two, and the other is nobody's guess."""
    outcome = make_project(_TEST).run(PGSANDBOX_RUNDIR=folder)

    assert _is_one_message(outcome)
    assert said in outcome.err


def test_a_wrong_password(make_project: MakeProject, external: External) -> None:
    """The message names the role, and neither the wrong password nor the right one."""
    url = external.url.set(password=SECRET, database="shop_test")
    outcome = make_project(_TEST).run(TEST_DATABASE_URL=url.render_as_string(hide_password=False))

    assert _is_one_message(outcome)
    assert "LoginRefused: The server at 127.0.0.1" in outcome.err
    assert 'role "postgres"' in outcome.err


@pytest.fixture
def plain(external: External) -> URL:
    """The URL of an application whose role may not create databases."""
    external.execute(
        "drop role if exists plain", f"create role plain login password '{SECRET}' nocreatedb"
    )
    return external.url.set(username="plain", password=SECRET, database="shop")


def _of_application(make_project: MakeProject, url: URL, *settings: str) -> Project:
    """A project whose setting `url` is *url*."""
    text = url.render_as_string(hide_password=False)
    return make_project(_TEST, "\n".join([f'url = "{text}"', *settings]))


def test_a_role_without_createdb(make_project: MakeProject, plain: URL) -> None:
    """The message has the ways out, the statement among them."""
    url = plain.set(database="shop_test")
    outcome = make_project(_TEST).run(TEST_DATABASE_URL=url.render_as_string(hide_password=False))

    assert _is_one_message(outcome)
    assert "MayNotCreateDatabases" in outcome.err
    assert 'ALTER ROLE "plain" CREATEDB;' in outcome.err
    assert 'server = "embedded"' in outcome.err


def test_a_server_that_is_insisted_on_is_not_replaced(
    make_project: MakeProject, plain: URL
) -> None:
    """``server = "external"`` is an order, and the role's right its condition."""
    outcome = _of_application(make_project, plain, 'server = "external"').run()

    assert _is_one_message(outcome)
    assert "MayNotCreateDatabases" in outcome.err


@pytest.mark.parametrize("workers", [(), *by_night((("-p", "xdist", "-n", "1"),))])
def test_an_application_whose_role_lacks_createdb_gets_a_server(
    make_project: MakeProject, plain: URL, workers: tuple[str, ...]
) -> None:
    """Nobody named that server for tests; the header says why another one was started."""
    outcome = _of_application(make_project, plain).run(*workers)

    assert (outcome.code, outcome.counts) == (0, {"passed": 1})
    assert (
        "embedded (started, since the role of the application's own server may not" in outcome.out
    )


def test_an_application_whose_role_lacks_createdb_where_none_can_be_started(
    make_project: MakeProject, plain: URL, tmp_path: Path
) -> None:
    """One message, with both ways out: the right, or a server."""
    outcome = _of_application(make_project, plain).run(PGSANDBOX_BINDIR=str(tmp_path))

    assert _is_one_message(outcome)
    assert "MayNotCreateDatabases" in outcome.err
    assert 'ALTER ROLE "plain" CREATEDB;' in outcome.err


@pytest.mark.parametrize(
    ("settings", "models", "said"),
    [
        ('metdata = "x:y"', MODELS, 'has no key "metdata"; did you mean "metadata"?'),
        ("", "class Bas: pass", '"models" has no "Base"; did you mean "Bas"?'),
        ("", "import shop_of_nobody", "No module named 'shop_of_nobody'"),
        ("", MODELS + _CONNECTS, "DatabaseNotRequested: A connection to PostgreSQL was opened"),
        ('url = "models:url"', MODELS + "def url(): raise KeyError('x')", "calling it failed"),
        ('url = "models:url"', MODELS + "def url(): raise SystemExit(1)", "calling it failed"),
        ('app = "models:app"', MODELS + "def app(): raise SystemExit(1)", "calling it failed"),
        ('url = "models:url"', MODELS + "def url(settings): pass", "called without settings."),
        ("", "class Base:\n    pass", "is no MetaData and has none"),
        ("", MODELS + _RAISES, "reading its metadata failed"),
        ('allow = ["postgresql://db:$PGPORT/x"]', MODELS, "$PGPORT in it was not expanded"),
        ("redirect = true", MODELS, "redirect = true has nothing to redirect"),
        ('paths = ["tests/integratoin"]', MODELS, 'did you mean "tests/integration"?'),
    ],
)
def test_a_setting_that_cannot_be_used(
    make_project: MakeProject, settings: str, models: str, said: str
) -> None:
    """Whether it is unknown, or what it refers to is missing, broken or something else."""
    outcome = make_project({**_TEST, "models.py": models}, settings).run()

    assert _is_one_message(outcome)
    assert said in outcome.err


_EXTENSION = """
from sqlalchemy import DDL, event

event.listen(Base.metadata, "before_create", DDL("create extension if not exists postgis"))
"""


@pytest.mark.parametrize(
    ("settings", "models", "said"),
    [
        ("", MODELS + _GEOMETRY, ['type "geometry" does not exist', "CREATE TABLE places"]),
        ('extensions = ["postgis"]', MODELS, ['extension "postgis"', "embedded"]),
        ("", MODELS + _EXTENSION, ["create extension if not exists postgis", "PGSANDBOX_BINDIR"]),
        (
            'seed = "models:seed"',
            MODELS + "def seed(session): raise KeyError('tea')",
            ["models:seed", "KeyError: 'tea'", "models.py:"],
        ),
        ('seed = "models:Base.metadata"', MODELS, ["models:Base.metadata", "callable"]),
        (
            'seed = "models:seed"',
            MODELS + _FULL,
            ["models:seed", "The disk is full on which the server keeps its data"],
        ),
        (
            'seed = "models:seed"',
            MODELS + _CUT,
            [
                "models:seed; the server ended the connection.",
                "The server has crashed, or somebody has",
            ],
        ),
    ],
)
def test_a_schema_that_cannot_be_built(
    make_project: MakeProject, server: Server, settings: str, models: str, said: list[str]
) -> None:
    """The message has the statement or the place, and the half-made database is gone."""
    project = make_project({**_TEST, "models.py": models}, settings)
    outcome = project.run()

    assert _is_one_message(outcome)
    assert [each for each in said if each not in outcome.err] == []
    assert databases(server, project.name) == []


def test_a_hook_that_makes_tables(make_project: MakeProject) -> None:
    """It is refused when pytest starts, and told that there are tables without it."""
    conftest = """
        def pytest_sessionstart(session):
            from models import Base
            from sqlalchemy import create_engine

            Base.metadata.create_all(create_engine("postgresql+psycopg2://localhost/shop"))
    """
    outcome = make_project({**_TEST, "tests/conftest.py": conftest}).run()

    assert _is_one_message(outcome)
    assert re.search(r"running +pytest starts, and calls the hooks", outcome.text)
    assert "Delete `pytest_sessionstart` at tests/conftest.py:1: it makes or drops" in outcome.text


def test_a_conftest_that_connects(make_project: MakeProject) -> None:
    """It is refused when it is imported, before there is any test database."""
    outcome = make_project({**_TEST, "tests/conftest.py": _CONNECTS}).run()

    assert outcome.code == 4
    assert "DatabaseNotRequested" in outcome.text
    assert re.search(r"running +pytest loads the project's conftest files", outcome.text)
    assert "tests/conftest.py:4" in outcome.text
    assert SECRET not in outcome.text


def test_what_libpq_is_told_of_another_server(make_project: MakeProject) -> None:
    """A shell's variables ask of the embedded server what its socket can't give: it hung."""
    test = """
        import psycopg2
        from sqlalchemy import text

        def test_it(db_session, pg):
            assert db_session.scalar(text("select 1")) == 1
            psycopg2.connect(pg.url.replace("+psycopg2", "")).close()
    """
    project = make_project({"tests/integration/test_it.py": test})
    asked = {
        "PGTARGETSESSIONATTRS": "read-only",
        "PGCHANNELBINDING": "require",
        "PGREQUIREAUTH": "scram-sha-256",
        "PGGSSENCMODE": "require",
        "PGSSLNEGOTIATION": "direct",
        "PGSSLCERTMODE": "require",
    }

    assert project.run(seconds=40, **asked).counts == {"passed": 1}


@pytest.mark.parametrize(
    "environ",
    [{"PGHOSTADDR": "127.0.0.77"}, {"PGSERVICE": "shop", "PGSERVICEFILE": "services"}],
    ids=["PGHOSTADDR", "PGSERVICE"],
)
def test_what_leads_to_another_server(make_project: MakeProject, environ: dict[str, str]) -> None:
    """Both count for more than the host of any URL, in processes that a test starts, too."""
    services = "[shop]\nhostaddr=127.0.0.77\nuser=shop\npassword=worth-nothing\n"
    outcome = make_project({**_TEST, "services": services}).run(**environ)
    name = next(iter(environ))

    assert _is_one_message(outcome)
    assert f"ConfigurationError: {name} is set, and may lead" in outcome.text
    assert f"Run the tests without it: env -u {name} pytest." in outcome.text


def test_variables_that_a_plugin_sets_are_read(make_project: MakeProject) -> None:
    """pytest-env and pytest-dotenv set them before any conftest is loaded, as we begin."""
    sets = f"""
        import os

        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_load_initial_conftests():
            os.environ["TEST_DATABASE_URL"] = "postgresql+psycopg2://dev:{SECRET}@127.0.0.1:1/x"
    """
    # By `addopts`, it is registered before us, so that its hook comes after ours of the same rank.
    project = make_project({**_TEST, "sets.py": sets})
    text = (project.path / "pyproject.toml").read_text()
    strict = 'addopts = ["--strict-markers"'
    (project.path / "pyproject.toml").write_text(text.replace(strict, f'{strict}, "-p", "sets"'))

    assert _is_one_message(run := project.run(is_fresh=True)), run.text
    assert "ServerUnreachable: Nothing answers at 127.0.0.1:1." in run.text
