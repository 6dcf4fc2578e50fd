"""A server given by URL: used when it can be, and a clear error when it cannot."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import URL

from pgsandbox.errors import (
    LoginRefused,
    NotPostgreSQL,
    PgSandboxError,
    ServerNotReady,
    ServerTooOld,
    ServerUnreachable,
    TooFewConnections,
)
from pgsandbox.servers import Server, answers, given, libpq
from tests.kit.external import PASSWORD, External, external_server
from tests.kit.integration.servers.strangers import Stranger

_LIMIT = 10


def _use(url: URL) -> Server:
    return given(url, reason="from TEST_DATABASE_URL", source="TEST_DATABASE_URL")


def _refusal(url: URL) -> PgSandboxError:
    """The error that *url* leads to, which must come within the limit and keep the password."""
    began = time.monotonic()
    with pytest.raises(PgSandboxError) as caught:
        _use(url)
    assert time.monotonic() - began < _LIMIT
    assert PASSWORD not in str(caught.value)
    return caught.value


@pytest.fixture
def role(external: External) -> Iterator[str]:
    """A role without any right of its own, that logs in with the same password."""
    external.execute(f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'")
    yield "plain"
    external.execute("DROP ROLE plain")


@pytest.mark.parametrize("name", ["PGHOSTADDR", "PGSERVICE"])
def test_the_host_of_the_url_counts(
    external: External, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For libpq the address of a variable, or of a service, counts for more than any host."""
    services = tmp_path / "services"
    services.write_text("[production]\nhostaddr=127.0.0.77\nport=1\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv(name, "production" if name == "PGSERVICE" else "127.0.0.77")
    server = _use(external.url)
    with closing(server.connect()) as connection:
        assert connection.info.host == external.url.host
        assert connection.info.dsn_parameters["hostaddr"] == ""


def test_the_server_is_used_through_a_maintenance_database(external: External) -> None:
    """The URL's own database does not exist yet, and is never asked for."""
    server = _use(external.url.set(database="shop_test"))

    assert server.kind == "given"
    assert server.reason == "from TEST_DATABASE_URL"
    assert server.url.database == "postgres"
    with closing(server.connect()) as connection:
        assert connection.server_version == server.version
        assert connection.autocommit


def test_releasing_a_given_server_does_nothing(external: External) -> None:
    """It belongs to somebody else."""
    server = _use(external.url)
    server.release()

    with closing(server.connect()) as connection:
        assert connection.info.dbname == "postgres"


@pytest.mark.parametrize("drivername", ["postgresql", "postgresql+psycopg", "postgresql+asyncpg"])
def test_the_url_may_be_written_for_any_driver(external: External, drivername: str) -> None:
    """Options of other drivers do not reach libpq, and asyncpg's ssl becomes sslmode."""
    query = {"ssl": "prefer", "command_timeout": "5", "prepare_threshold": "0"}
    server = _use(external.url.set(drivername=drivername, query=query))

    assert server.url.drivername == "postgresql+psycopg2"
    assert server.url.query == {"sslmode": "prefer"}


def test_options_of_the_url_stay_in_force(external: External) -> None:
    """What libpq knows is passed on as it is."""
    server = _use(external.url.update_query_dict({"options": "-c search_path=elsewhere"}))
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW search_path")

        assert cursor.fetchone() == ("elsewhere",)


def test_a_socket_named_in_the_query_is_used(external: External) -> None:
    """As in postgresql:///shop?host=/run/postgresql."""
    server = _use(external.hold.instance.url.set(database="shop"))
    with closing(server.connect()) as connection:
        assert connection.info.host == str(external.hold.instance.run)


def test_template1_serves_where_postgres_is_closed(external: External, role: str) -> None:
    """Some administrators close the database postgres to ordinary roles."""
    external.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    server = _use(external.url.set(username=role, database="shop"))
    external.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")

    assert server.url.database == "template1"


def test_the_url_s_own_database_serves_where_no_other_does(external: External, role: str) -> None:
    """A hosted server may let a role into nothing but its own database."""
    closed = ("postgres", "template1")
    external.execute(*(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC" for name in closed))
    external.execute("CREATE DATABASE shop")
    server = _use(external.url.set(username=role, database="shop"))
    external.execute("DROP DATABASE shop")
    external.execute(*(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC" for name in closed))

    assert server.url.database == "shop"


def test_a_wrong_password_is_refused_in_the_server_s_words(external: External) -> None:
    """The message shows the URL without its password, and where the URL comes from."""
    error = _refusal(external.url.set(password="a wrong one"))

    assert isinstance(error, LoginRefused)
    assert 'refuses the log-in of role "postgres"' in error.headline
    assert 'password authentication failed for user "postgres"' in str(error)
    assert f"postgres:***@127.0.0.1:{external.port}" in str(error)
    assert "(TEST_DATABASE_URL)" in str(error)
    assert "a wrong one" not in str(error)


def test_a_password_among_the_options_is_masked_too(external: External) -> None:
    """libpq reads ?password=, so people write it."""
    url = external.url.set(password=None).update_query_dict({"password": "a wrong one"})

    assert "a wrong one" not in str(_refusal(url))


@pytest.mark.parametrize(
    ("name", "words"),
    [("nobody_of_that_name", "password authentication failed"), ("unwelcome", "pg_hba.conf")],
)
def test_an_unwelcome_role_is_refused(external: External, name: str, words: str) -> None:
    """It does not exist, or pg_hba.conf rejects it."""
    error = _refusal(external.url.set(username=name))

    assert isinstance(error, LoginRefused)
    assert words in str(error)


def test_a_server_without_ssl_refuses_who_insists_on_it(external: External) -> None:
    """Both sides work; they only cannot agree how to talk."""
    error = _refusal(external.url.update_query_dict({"sslmode": "require"}))

    assert isinstance(error, LoginRefused)
    assert "SSL" in str(error)


def test_nothing_listens(free_port: int) -> None:
    """The port is free."""
    error = _refusal(URL.create(libpq.DRIVER, "app", PASSWORD, "127.0.0.1", free_port, "shop"))

    assert isinstance(error, ServerUnreachable)
    assert error.headline == f"Nothing answers at 127.0.0.1:{free_port}."
    assert "Connection refused" in str(error)


def test_the_host_does_not_exist() -> None:
    """A name of the reserved domain .invalid (RFC 6761)."""
    error = _refusal(URL.create(libpq.DRIVER, "app", PASSWORD, "db.invalid", 5432, "shop"))

    assert isinstance(error, ServerUnreachable)
    assert "db.invalid:5432" in error.headline


def test_no_socket_is_there(tmp_path: os.PathLike[str]) -> None:
    """A Unix socket that no server has made."""
    query = {"host": os.fspath(tmp_path)}
    error = _refusal(URL.create(libpq.DRIVER, "app", database="shop", query=query))

    assert isinstance(error, ServerUnreachable)
    assert "No such file" in str(error)


@pytest.mark.parametrize(
    ("greeting", "reply", "words"),
    [
        (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", 'says "HTTP/1.1 400 Bad Request"'),
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"", 'says "SSH-2.0-OpenSSH_9.2"'),
        (b"\x4a\x00\x00\x00\x0a8.0.36\x00", b"", 'says "J....8.0.36."'),
        (b"", None, "closes connections without an answer"),
        (b"", b"", "accepts connections and says nothing"),
    ],
    ids=["HTTP", "SSH", "MySQL", "closes", "silent"],
)
def test_something_else_answers(greeting: bytes, reply: bytes | None, words: str) -> None:
    """A port that speaks another protocol, hangs up, or never says a word."""
    with Stranger(greeting, reply) as stranger:
        error = _refusal(
            URL.create(libpq.DRIVER, "app", PASSWORD, "127.0.0.1", stranger.port, "shop")
        )

    assert isinstance(error, NotPostgreSQL)
    assert words in error.headline


def test_a_host_whose_second_address_is_right_is_used(external: External, free_port: int) -> None:
    """libpq goes through several hosts, and so does the search for a reason."""
    query = {"host": [f"127.0.0.1:{free_port}", f"127.0.0.1:{external.port}"]}
    several = URL.create(libpq.DRIVER, "postgres", PASSWORD, database="shop", query=query)

    assert _use(several).version >= 140000
    assert isinstance(_refusal(several.set(password="wrong")), LoginRefused)


def test_a_server_that_is_shutting_down_or_starting_is_named_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both refuse everybody for a while; it is waited for, within the limit."""
    monkeypatch.setattr(sys.modules[given.__module__], "_LIMIT", 3.0)
    with external_server() as server, closing(psycopg2.connect(**libpq.arguments(server.url))):
        os.kill(server.postmaster(), signal.SIGTERM)  # smart: waits for the open session
        error = _refusal(server.url)

    assert type(error) is ServerNotReady
    assert "starting or stopping" in error.headline
    assert "the database system is shutting down" in str(error)


def test_a_full_server_is_named_as_such() -> None:
    """All its connections are in use."""
    settings = ("max_connections=4", "superuser_reserved_connections=0")
    with external_server(None, *settings) as server, ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(closing(libpq.connect(server.url)))
        error = _refusal(server.url)

    assert type(error) is TooFewConnections
    assert "no connection left" in error.headline
    assert "too many clients" in str(error)


def test_a_role_without_connections_is_named_as_such(external: External, role: str) -> None:
    """Its own limit is used up; the server has room."""
    external.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    error = _refusal(external.url.set(username=role))

    assert type(error) is TooFewConnections
    assert "too many connections for role" in str(error)


def test_a_server_that_stalls_in_the_middle_of_a_log_in_is_named_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It asks for a password, and that is the last one hears of it."""
    monkeypatch.setattr(sys.modules[given.__module__], "_LIMIT", 3.0)
    monkeypatch.setattr(sys.modules[given.__module__], "_LIMIT_OF_ONE_LOGIN", 1.0)
    asks_for_password = b"R\0\0\0\x08\0\0\0\x03"
    query = {"sslmode": "disable"}
    with Stranger(b"", asks_for_password, hangs_up=False) as stranger:
        url = URL.create(libpq.DRIVER, "app", PASSWORD, "127.0.0.1", stranger.port, query=query)
        error = _refusal(url)

    assert isinstance(error, ServerUnreachable)
    assert "did not finish a log-in within 3 s" in error.headline


def test_an_old_server_is_refused(external: External, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names both versions."""
    monkeypatch.setattr(sys.modules[given.__module__], "OLDEST_VERSION", 990000)
    error = _refusal(external.url)

    assert isinstance(error, ServerTooOld)
    assert "needs 99 or later" in error.headline


def test_answers_is_true_for_a_server_that_lets_the_role_in(external: External) -> None:
    """Whatever database the URL names."""
    assert answers(external.url.set(database="not there"))


def test_answers_is_false_for_a_refused_role(external: External) -> None:
    """A server that cannot be used is none."""
    assert not answers(external.url.set(password="wrong"))


def test_answers_is_false_within_its_limit_for_a_silent_port() -> None:
    """It decides between servers before a run, so it must not take long."""
    with Stranger(b"", b"") as stranger:
        began = time.monotonic()
        found = answers(URL.create(libpq.DRIVER, "app", None, "localhost", stranger.port))
        took = time.monotonic() - began

    assert not found
    assert took < 3
