"""What libpq is told: URLs of any driver, turned into connections of psycopg2.

Administrative work speaks through psycopg2 alone, whatever driver the application uses, so that it
never meets an engine that the sandbox watches. SQLAlchemy takes a URL apart; nothing here does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import psycopg2
from sqlalchemy.engine import URL

from pgsandbox import connections, guard
from pgsandbox.connections import Connection
from pgsandbox.errors import ConfigurationError, Fact

APPLICATION_NAME = "pgsandbox"
DRIVER = "postgresql+psycopg2"

# asyncpg's ``ssl`` also takes a boolean, which a URL can only spell (asyncpg.connect, ``ssl``).
_SSL_WORDS = {"true": "require", "1": "require", "false": "disable", "0": "disable"}

# What asyncpg.connect accepts and a libpq URL may carry under the same name.
_ASYNCPG_OPTIONS = frozenset({"host", "port", "passfile", "target_session_attrs", "krbsrvname"})


def normalised(url: URL) -> URL:
    """*url* for psycopg2: the same server, role and database, and only options that libpq knows.

    Options that belong to another driver (asyncpg's ``command_timeout``, psycopg's
    ``prepare_threshold``) say nothing about where the server is and are dropped; asyncpg's ``ssl``
    becomes ``sslmode``. Role, password and database given as options move to their places.
    Raises ConfigurationError if the URL is not one of PostgreSQL.
    """
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(
            f'"{url.drivername}" is not a PostgreSQL dialect, and pgsandbox knows no other.',
            facts=[Fact("url", masked(url))],
            remedy="Give a URL that starts with postgresql+psycopg2://, for example.",
        )
    query: dict[str, Any] = dict(url.query)
    url = url.set(
        drivername=DRIVER,
        username=query.pop("user", None) or url.username,
        password=query.pop("password", None) or url.password,
        database=query.pop("dbname", None) or url.database,
    )
    ssl = query.pop("ssl", None)
    if isinstance(ssl, str):
        query.setdefault("sslmode", _SSL_WORDS.get(ssl.lower(), ssl))
    known = {name: value for name, value in query.items() if connections.is_option(name)}
    return url.set(query=known)


def for_driver(url: URL, drivername: str) -> URL:
    """The normalised *url* as *drivername* wants it: asyncpg reads few of libpq's options."""
    if not drivername.endswith("+asyncpg"):
        return url.set(drivername=drivername)
    query = {name: value for name, value in url.query.items() if name in _ASYNCPG_OPTIONS}
    if "sslmode" in url.query:
        query["ssl"] = url.query["sslmode"]
    return url.set(drivername=drivername, query=query)


def arguments(url: URL) -> dict[str, Any]:
    """The normalised *url* as keyword arguments of ``psycopg2.connect``."""
    _, keywords = url.get_dialect()().create_connect_args(url)
    return dict(keywords)


def connect(url: URL, *, seconds: float = 5.0) -> Connection:
    """A connection in autocommit to the normalised *url*, or psycopg2's own OperationalError.

    It is there after *seconds*, or refused; and none of its calls waits for ever (`connections`).
    """
    asked = arguments(url)
    asked = connections.despite(os.environ, asked.get("host")) | asked
    wanted = connections.ARGUMENTS | asked | {"application_name": APPLICATION_NAME}
    return connections.let_in(psycopg2.connect(**wanted), seconds)


def masked(url: URL) -> str:
    """*url* as people may see it: no password, neither in its place nor among the options."""
    return guard.masked(url.render_as_string(hide_password=False))


def place(keywords: Mapping[str, Any]) -> str:
    """Where these connection arguments point, in words for a headline."""
    host = str(keywords.get("host") or "")
    if not host:
        return "libpq's default socket"
    if host.startswith("/"):
        return host
    port = keywords.get("port")
    return guard.masked_place(f"{host}:{guard.DEFAULT_PORT if port in (None, '') else port}")
