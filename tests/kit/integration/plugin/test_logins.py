"""Every way of logging in to a given server that the endpoint knows: passwords, and TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import URL

from pgsandbox.servers import libpq
from tests.kit.external import External, external_server
from tests.kit.integration.databases.conftest import PROGRAMS, until
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET, Project
from tests.kit.nightly import by_night

_METHODS = ("password", "md5", "scram-sha-256")
_CERTIFICATE = Path(__file__).with_name("tls")
"""A certificate that has signed itself, for localhost and 127.0.0.1, until 2126."""

_ITEMS = """
    import threading

    import psycopg2
    import pytest
    from models import Item
    from sqlalchemy import text

    def test_item(db_session):
        db_session.add(Item(name="tea"))
        db_session.commit()

        assert db_session.query(Item).count() == 1

    def test_much(db_session):
        rows = db_session.execute(text("select repeat('x', 99) from generate_series(1, 99999)"))

        assert sum(len(row[0]) for row in rows) == 99 * 99999

    def test_cancelling(pg):
        with psycopg2.connect(pg.url.replace("+psycopg2", "")) as connection:
            timer = threading.Timer(0.2, connection.cancel)
            timer.start()
            with pytest.raises(psycopg2.errors.QueryCanceled):
                connection.cursor().execute("select pg_sleep(60)")
            timer.join()
        connection.close()
"""


def _run(project: Project, url: URL) -> None:
    """Run the tests of *project* on the server of *url*, and see them pass."""
    outcome = project.run(TEST_DATABASE_URL=url.render_as_string(hide_password=False))

    assert outcome.code == 0
    assert outcome.counts == {"passed": 3}
    assert SECRET not in outcome.text


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """A project whose tests send and receive little and much, and cancel."""
    return make_project({"tests/integration/test_items.py": _ITEMS})


@pytest.mark.parametrize("method", _METHODS)
def test_a_password(project: Project, external: External, method: str) -> None:
    """The rules of pg_hba.conf say in what form the server wants it."""
    role = f"by_{method[:4]}"
    kept = "md5" if method == "md5" else "scram-sha-256"
    rules = external.hold.instance.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all {role} 127.0.0.1/32 {method}\n{before}")
    external.execute(
        f"set password_encryption = '{kept}';create role {role} login createdb password '{SECRET}'",
        "select pg_reload_conf()",
    )
    _run(project, external.url.set(username=role, password=SECRET, database=project.name))
    rules.write_text(before)
    external.execute("select pg_reload_conf()", f"drop role {role}")


def _options(programs: Path) -> str:
    """Return the options with which the PostgreSQL of *programs* was built, if it tells them."""
    command = programs / "pg_config"
    if not command.exists():
        return ""
    told = subprocess.run([command, "--configure"], check=True, capture_output=True, text=True)
    return told.stdout


@pytest.fixture(scope="module")
def with_tls() -> Iterator[External]:
    """A server that lets nobody in without TLS."""
    built_with_tls = [each for each in PROGRAMS.values() if "openssl" in _options(each)]
    if not built_with_tls:
        pytest.skip("no PostgreSQL on this machine was built with TLS")
    with external_server(built_with_tls[0]) as server:
        data = server.hold.instance.data
        for name in ("localhost.crt", "localhost.key"):
            shutil.copy(_CERTIFICATE / name, data)
            (data / name).chmod(0o600)
            shutil.chown(data / name, data.stat().st_uid, data.stat().st_gid)
        rules = data / "pg_hba.conf"
        rules.write_text(rules.read_text().replace("host all all", "hostssl all all"))
        server.execute(
            "alter system set ssl_cert_file = 'localhost.crt'",
            "alter system set ssl_key_file = 'localhost.key'",
            "alter system set ssl = on",
            "select pg_reload_conf()",
        )
        assert until(lambda: _logs_in(server.url, "require"))
        yield server


def _logs_in(url: URL, mode: str) -> bool:
    try:
        with closing(libpq.connect(url.update_query_dict({"sslmode": mode}))):
            return True
    except psycopg2.OperationalError:
        return False


@pytest.mark.parametrize("mode", ["require", *by_night("verify-full")])
def test_tls(project: Project, with_tls: External, mode: str) -> None:
    """What is encrypted comes whole, in both directions, and so do requests to cancel."""
    query = {"sslmode": mode}
    if mode == "verify-full":
        query["sslrootcert"] = str(_CERTIFICATE / "localhost.crt")
    assert not _logs_in(with_tls.url, "disable")

    _run(project, with_tls.url.set(database=project.name).update_query_dict(query))


def test_a_certificate_that_nobody_vouches_for(project: Project, with_tls: External) -> None:
    """It is refused before a test runs, in the words of OpenSSL."""
    url = with_tls.url.update_query_dict({"sslmode": "verify-full"})
    outcome = project.run(TEST_DATABASE_URL=url.render_as_string(hide_password=False))

    assert outcome.code != 0
    assert "LoginRefused" in outcome.text
    assert "certificate" in outcome.text


_INSISTING = """
    import asyncio
    from contextlib import closing

    import asyncpg
    import psycopg
    import psycopg2
    import pytest

    @pytest.mark.parametrize("driver", [psycopg, psycopg2])
    def test_libpq(pg, driver):
        with closing(driver.connect(pg.tcp_url, sslmode="verify-full")) as connection:
            connection.cursor().execute("insert into items (name) values ('tea')")
            connection.commit()
        assert pg.outside("select count(*) from items") == 0

    def test_asyncpg(pg):
        async def insert():
            connection = await asyncpg.connect(pg.tcp_url, ssl=True)
            await connection.execute("insert into items (name) values ('tea')")
            await connection.close()

        asyncio.run(insert())
        assert pg.outside("select count(*) from items") == 0
"""


def test_an_application_that_insists_on_tls_needs_none(make_project: MakeProject) -> None:
    """What it connects to is a socket of this machine, in a sandboxed test."""
    outcome = make_project({"test_insisting.py": _INSISTING}).run()

    assert (outcome.code, outcome.counts) == (0, {"passed": 3}), outcome.text
