"""The messages on the site are those that people get."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy.engine import make_url

from pgsandbox import databases, servers
from pgsandbox.databases import admin, shared
from pgsandbox.databases.limits import Limits
from pgsandbox.errors import PgSandboxError
from pgsandbox.servers import Server, places
from pgsandbox.servers.binaries import find
from pgsandbox.servers.embedded import launch
from tests.kit.external import PASSWORD, External, external_server, free_port
from tests.kit.integration.plugin.projects import Outcome, Project
from tests.kit.integration.recorded import (
    EXAMPLES,
    message_in,
    message_of,
    normalised,
    recorded,
)
from tests.kit.integration.servers.pooler import Pooler
from tests.kit.integration.servers.strangers import Stranger

_REFUSAL = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
_STARTING = b"E" + (len(_REFUSAL) + 4).to_bytes(4, "big") + _REFUSAL
"""What PostgreSQL answers while it starts (manual, 55.7)."""

IN_A_TEST = {
    "transactions-interleaved": "test_an_entry_stays_when_its_order_fails",
    "outer-transaction-ended": "test_a_function_hides_a_commit",
    "deferred-constraint-violated": "test_two_offers_at_one_place",
    "escaped-from-sandbox": "ERROR at teardown of test_a_job_takes_a_lock",
    "fixture-too-late": "test_a_fixture_comes_too_late",
    "not-in-sandbox": "test_an_index_is_made_concurrently",
    "sandbox-lost": "test_the_connection_is_cut",
    "foreign-database": "test_the_application_uses_its_own_url",
    "database-not-requested": "test_a_unit_test_connects",
    "no-session": "test_a_unit_test_calls_a_factory",
    "factory-error": "test_a_factory_has_a_session_of_its_own",
    "query-per-row": "test_what_is_in_each_parcel",
}
"""The page of each error that a test meets, and where the report of ``refusals`` shows it."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project ``refusals``, outside of the checkout."""
    path = tmp_path_factory.mktemp("example") / "refusals"
    shutil.copytree(EXAMPLES / "refusals", path)
    project = Project(path)
    settings = path / "pyproject.toml"
    settings.write_text(settings.read_text().replace('"shop"', f'"{project.name}"'))
    return project


@pytest.fixture(scope="module")
def run(project: Project) -> Outcome:
    """What its tests print, all of which fail."""
    return project.run("--tb=short")


@pytest.fixture(scope="module")
def external() -> Iterator[External]:
    """A server on a TCP port that asks for passwords."""
    with external_server() as server:
        server.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
        yield server


@pytest.fixture
def given(external: External) -> Server:
    """The same as pgsandbox sees it."""
    return servers.given(external.url, reason="a test", source="TEST_DATABASE_URL")


@pytest.mark.parametrize(("page", "title"), IN_A_TEST.items(), ids=IN_A_TEST)
def test_what_a_test_meets(run: Outcome, page: str, title: str) -> None:
    """The message in pytest's report is the one of the site."""
    message = normalised(message_in(run.section(title)))

    assert message == recorded(f"messages/{page}", message)


def test_the_statements_of_a_failing_test(run: Outcome) -> None:
    """The section below the traceback lists them, with their connections."""
    section = run.section("test_a_failing_test_shows_its_statements")
    heading, _, statements = section.rpartition(" what PostgreSQL saw ")
    shown = normalised(f"{heading.splitlines()[-1]} what PostgreSQL saw {statements}")

    assert shown == recorded("output/statements", shown)


def test_the_lines_of_a_run(project: Project) -> None:
    """The header names server and database, the summary counts."""
    run = project.run("-k", "statements")
    lines = normalised(
        "\n".join(line for line in run.out.splitlines() if line.startswith("pgsandbox:"))
    )

    assert lines == recorded("output/header-and-summary", lines)


@pytest.mark.parametrize(
    ("page", "arguments", "variables"),
    [
        ("configuration-error", [], {"PGSANDBOX_SCHEMA": "migration"}),
        ("schema-not-built", ["--pg-metadata=models_with_citext:Base"], {}),
        (
            "binaries-not-found",
            ["--pg-server=embedded"],
            {"PGSANDBOX_BINDIR": "/opt/postgresql/bin"},
        ),
    ],
    ids=["configuration-error", "schema-not-built", "binaries-not-found"],
)
def test_what_stops_a_run(
    project: Project, page: str, arguments: list[str], variables: dict[str, str]
) -> None:
    """pytest prints the message and collects nothing."""
    message = normalised(project.run(*arguments, **variables).err.partition("ERROR: ")[2])

    assert message == recorded(f"messages/{page}", message)


def _refused(project: Project, url: str) -> str:
    return project.run(TEST_DATABASE_URL=url).err.partition("ERROR: ")[2]


def test_nothing_answers(project: Project) -> None:
    """The port is free."""
    message = normalised(
        _refused(project, f"postgresql+psycopg2://app:pw@127.0.0.1:{free_port()}/shop_test")
    )

    assert message == recorded("messages/server-unreachable", message)


def test_something_else_answers(project: Project) -> None:
    """A web server, say."""
    with Stranger(b"", b"HTTP/1.1 400 Bad Request\r\n\r\n") as web:
        message = normalised(
            _refused(project, f"postgresql+psycopg2://app:pw@127.0.0.1:{web.port}/shop_test")
        )

    assert message == recorded("messages/not-postgresql", message)


def test_the_password_is_wrong(project: Project, external: External) -> None:
    """The message shows neither the wrong one nor the right one."""
    url = f"postgresql+psycopg2://reader:a-wrong-one@127.0.0.1:{external.port}/shop_test"
    message = normalised(_refused(project, url))

    assert message == recorded("messages/login-refused", message)


def test_the_role_may_not_create_databases(project: Project, external: External) -> None:
    """Two ways out."""
    url = external.url.set(username="reader", database="shop_test")
    message = normalised(_refused(project, url.render_as_string(hide_password=False)))

    assert message == recorded("messages/may-not-create-databases", message)


def test_the_server_is_too_old(external: External, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server that old is at hand, so the limit comes to it."""
    monkeypatch.setattr(sys.modules[servers.given.__module__], "OLDEST_VERSION", 999999)
    with pytest.raises(PgSandboxError) as caught:
        servers.given(external.url.set(database="shop_test"), reason="", source="TEST_DATABASE_URL")
    message = normalised(message_of(caught.value))
    message = message.replace("99 or later", "14 or later").replace("18.4", "13.22")

    assert message == recorded("messages/server-too-old", message)


def test_the_server_has_no_connection_left(external: External) -> None:
    """A role that may have no more than it has."""
    external.execute("ALTER ROLE reader CONNECTION LIMIT 0")
    with pytest.raises(PgSandboxError) as caught:
        servers.given(
            external.url.set(username="reader", database="shop_test"),
            reason="",
            source="TEST_DATABASE_URL",
        )
    external.execute("ALTER ROLE reader CONNECTION LIMIT -1")
    message = normalised(message_of(caught.value))

    assert message == recorded("messages/too-few-connections", message)


def test_the_server_is_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so to everybody; it was waited for, in vain."""
    monkeypatch.setattr(sys.modules[servers.given.__module__], "_LIMIT", 0.5)
    with Stranger(b"", _STARTING) as server:
        url = make_url(f"postgresql+psycopg2://app:pw@127.0.0.1:{server.port}/shop_test")
        with pytest.raises(PgSandboxError) as caught:
            servers.given(url, reason="", source="TEST_DATABASE_URL")
    message = normalised(message_of(caught.value))

    assert message == recorded("messages/server-not-ready", message)


def test_the_server_lets_the_role_in_no_longer(external: External) -> None:
    """Somebody has changed the role since the run began."""
    url = external.url.set(username="reader", database="shop_test")
    server = servers.given(url, reason="", source="TEST_DATABASE_URL")
    external.execute("ALTER ROLE reader NOLOGIN")
    with pytest.raises(PgSandboxError) as caught, databases.administration(server):
        pass
    external.execute("ALTER ROLE reader LOGIN")
    message = normalised(message_of(caught.value))

    assert message == recorded("messages/server-error", message)


def test_the_embedded_server_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words tell why."""
    monkeypatch.delenv("PGSANDBOX_RUNDIR", raising=False)
    with places.private_folder() as private, pytest.raises(PgSandboxError) as caught:
        launch(
            private,
            "broken",
            find(None),
            places.cache_folder(None),
            arguments=("--no_such_setting=1",),
        )
    message = normalised(message_of(caught.value))

    assert message == recorded("messages/server-did-not-start", message)


def test_a_database_without_our_mark(external: External, given: Server) -> None:
    """Somebody made it by hand; it stays as it is."""
    external.execute("CREATE DATABASE shop")
    with closing(given.connect()) as connection, pytest.raises(PgSandboxError) as caught:
        admin.drop(connection, "shop")
    external.execute("DROP DATABASE shop")
    message = normalised(message_of(caught.value))

    assert message == recorded("messages/not-a-test-database", message)


def test_a_session_is_in_the_way(given: Server) -> None:
    """A forgotten transaction of a debugger holds a lock on the catalog."""
    with closing(given.connect()) as connection, closing(given.connect()) as other:
        cursor = other.cursor()
        cursor.execute("set application_name = 'a debugger'")
        cursor.execute("begin; lock table pg_database in exclusive mode")
        with pytest.raises(PgSandboxError) as caught:
            admin.create(connection, "shop_test", Limits(lock=0.2, statement=1.0))
    message = normalised(
        message_of(caught.value).replace("0.2 s", "10 s").replace("1 s for", "12 s for")
    )

    assert message == recorded("messages/administration-blocked", message)


def test_a_session_of_the_server_stands_still(given: Server) -> None:
    """Somebody has stopped its process, as a debugger does."""
    with closing(given.connect()) as connection:
        pid = connection.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(PgSandboxError) as caught:
            admin.drop(connection, "shop_test", limits=Limits(lock=0.2, statement=0.2))
        os.kill(pid, signal.SIGCONT)
    message = normalised(message_of(caught.value).replace("2.2 s", "14 s"))

    assert message == recorded("output/administration-frozen", message)


def test_a_pooler_stands_before_the_server(external: External) -> None:
    """In transaction mode."""
    path = f"{external.hold.instance.run}/.s.PGSQL.{external.port}"
    with Pooler(path) as pooler:
        url = f"postgresql+psycopg2://postgres:pw@127.0.0.1:{pooler.port}/shop_test"
        with pytest.raises(PgSandboxError) as caught:
            servers.given(make_url(url), reason="", source="TEST_DATABASE_URL")
    said = message_of(caught.value).replace(f"is {external.port}", "is 54321")
    seen = "the process 4711 for two connections at once"
    width = len(url.replace(":pw@", ":***@"))
    message = normalised(re.sub(r"the process \d+ for .* once +", f"{seen:<{width}}  ", said))

    assert message == recorded("messages/pooler-in-between", message)


def test_a_clone_test_leaves_a_role(given: Server, external: External) -> None:
    """And a setting of the server's."""
    with closing(given.connect()) as connection:
        before = shared.shared_state(connection)
        external.execute("CREATE ROLE auditor", "ALTER SYSTEM SET work_mem = '64MB'")
        found = shared.changes(connection, before)
        error = shared.left_changed(connection, found)
    external.execute("DROP ROLE auditor", "ALTER SYSTEM RESET work_mem")
    message = normalised(message_of(error))

    assert message == recorded("messages/shared-state-changed", message)


def test_a_database_is_no_longer_the_runs(given: Server) -> None:
    """As when the session that held it was ended, and another run has taken the name."""
    owned = databases.claim(given, "shop")
    owned.drop()
    with pytest.raises(PgSandboxError) as caught:
        owned.recreate()
    message = normalised(message_of(caught.value))

    assert message == recorded("messages/lease-lost", message)


def test_a_name_can_not_be_stored(given: Server) -> None:
    """The server would cut it, and find another database later."""
    with closing(given.connect()) as connection, pytest.raises(PgSandboxError) as caught:
        admin.create(connection, "orders_of_the_shop_" * 4)
    message = normalised(message_of(caught.value))

    assert message == recorded("messages/database-error", message)
