"""Which server a run uses: a given one, the application's own, or one of ours."""

from __future__ import annotations

import os
from collections.abc import Callable

from sqlalchemy.engine import URL

from pgsandbox import databases, guard, servers
from pgsandbox.config import Settings
from pgsandbox.errors import BinariesNotFound, ConfigurationError, Fact
from pgsandbox.sandbox.driver_hooks import target_of_url
from pgsandbox.wiring.resolving import url_of

Start = Callable[..., servers.Server | None]


def find_running(
    settings: Settings, application_url: Callable[[], URL | None]
) -> servers.Server | None:
    """Return the server that `choose_server` would, or None where it would start one."""
    return _choose(settings, application_url, servers.running)


def choose_server(settings: Settings, application_url: Callable[[], URL | None]) -> servers.Server:
    """Return the server that *settings* ask for.

    *application_url* gives the application's own, and is called where that one counts.

    Raises:
        ServerError: there is no usable one; within 10 seconds.
        ConfigurationError: nothing names the server that the settings insist on, or the
            environment leads drivers to another one.
    """
    if "PGSERVICE" in os.environ:
        raise _led_astray("PGSERVICE")
    server = _choose(settings, application_url, servers.embedded)
    assert server is not None  # `embedded` returns one or raises
    if "PGHOSTADDR" in target_of_url(server.url).unknown:
        server.release()
        raise _led_astray("PGHOSTADDR")
    return server


def _choose(
    settings: Settings, application_url: Callable[[], URL | None], start: Start
) -> servers.Server | None:
    given = settings.test_database_url
    if settings.server != "embedded" and given is not None:
        return servers.given(
            url_of(given, "TEST_DATABASE_URL"),
            reason="from TEST_DATABASE_URL",
            source="TEST_DATABASE_URL",
        )
    url = application_url()
    source = f"url, {settings.source_of('url')}"
    if settings.server == "external":
        if url is None:
            raise ConfigurationError(
                'server = "external" needs a server, and nothing names one.',
                facts=[
                    Fact("server", "external", settings.source_of("server")),
                    Fact("TEST_DATABASE_URL", "not set"),
                    Fact("url", "none", settings.source_of("url")),
                ],
                remedy=(
                    "Set TEST_DATABASE_URL, or url in [tool.pgsandbox], or let pgsandbox "
                    'choose with server = "auto".'
                ),
            )
        return servers.given(url, reason="the server of the setting url", source=source)
    if settings.server == "auto" and url is not None and servers.answers(url):
        return _own_or_started(url, source, start)
    if settings.server == "embedded":
        why = f"server = embedded, {settings.source_of('server')}"
    elif url is not None:
        why = "started, since the application's own server does not answer"
    else:
        why = "started, since nothing names a server"
    return start(reason=why)


def _own_or_started(url: URL, source: str, start: Start) -> servers.Server | None:
    """Return the application's own server, or a started one if its role may create no database.

    Raises:
        MayNotCreateDatabases: it may not, and there are no programs to start a server from.
    """
    own = servers.given(url, reason="the application's own server answers", source=source)
    with databases.administration(own) as connection:
        if databases.may_create_databases(connection):
            return own
        refusal = databases.missing_createdb(connection)
    own.release()
    why = "started, since the role of the application's own server may not create databases"
    try:
        return start(reason=why)
    except BinariesNotFound:
        raise refusal from None


def _led_astray(name: str) -> ConfigurationError:
    """Every connection of a test would be refused, and a process that it starts would follow."""
    return ConfigurationError(
        f"{name} is set, and may lead PostgreSQL's drivers to another server than a URL names.",
        facts=[Fact(name, guard.masked(os.environ[name]), "environment")],
        remedy=f"Run the tests without it: env -u {name} pytest.",
    )
