"""Where a connection goes instead: the arguments of each driver's ``connect``, changed.

What the application asked for beside the target stays: factories, time limits, options, run-time
parameters. What would ask the endpoint for more than it has goes: TLS, services, password files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import URL, Dialect

from pgsandbox import connections

CLIENT = "pgsandbox.client"
"""The option by which the endpoint knows whose connection it is."""

_PLACES = (
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "passfile",
    "service",
    "servicefile",
    "dsn",
)
_PROOFS = (
    "sslmode",
    "sslnegotiation",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslcrl",
    "sslpassword",
    "requiressl",
    "channel_binding",
    "require_auth",
    "requirepeer",
    "gssencmode",
    "krbsrvname",
    "gsslib",
    "ssl",
    "direct_tls",
)
IDENTITY = frozenset({"database", "user"})
"""What asyncpg's ``server_settings`` may name beside its arguments."""

_LEFT_OUT = frozenset({*_PLACES, *_PROOFS, "dbname", "database", "load_balance_hosts"})


@dataclass(frozen=True)
class Destination:
    """A database, as drivers are told.

    None stands for what they find out by themselves: from variables, or from a service of libpq's.
    """

    host: str | None
    """A name, an address or a socket's folder; several of a given server with commas between."""
    port: int | str | None
    """One for all hosts, or one for each."""
    user: str | None
    database: str
    password: str | None = None
    more: tuple[tuple[str, str], ...] = ()
    """What else the driver of the place needs, by libpq's names: those of a given server."""
    token: str | None = None
    """What the endpoint calls the connection; None where it is none of the endpoint's."""

    def given(self) -> dict[str, Any]:
        """Return what is told of it to every driver, but for the database."""
        found = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return {name: value for name, value in found.items() if value is not None}


def destination_of(url: URL) -> Destination:
    """Return where *url* leads, on a server of the kit's own or a given one."""
    as_libpq = url.set(drivername="postgresql+psycopg2").get_dialect()()
    told = {name: str(value) for name, value in as_libpq.create_connect_args(url)[1].items()}
    if "ssl" in told:  # asyncpg's word
        told["sslmode"] = told.pop("ssl")
    return Destination(
        told.pop("host", None),
        told.pop("port", None),
        told.pop("user", None),
        told.pop("dbname"),
        told.pop("password", None),
        tuple(told.items()),
    )


def libpq(asked: Mapping[str, Any], to: Destination) -> dict[str, Any]:
    """Return what psycopg2 and psycopg are told, who were *asked* for something else."""
    given = {name: value for name, value in asked.items() if name not in _LEFT_OUT}
    given |= {**to.given(), "dbname": to.database, **dict(to.more)}
    given = connections.despite(os.environ, to.host) | given
    if to.token is not None:
        options = given.get("options") or os.environ.get("PGOPTIONS") or ""
        given["options"] = f"{options} -c {CLIENT}={to.token}".strip()
    return given


def asyncpg(asked: Mapping[str, Any], to: Destination) -> dict[str, Any]:
    """Return what asyncpg is told, which was *asked* for something else."""
    given = {name: value for name, value in asked.items() if name not in _LEFT_OUT}
    given |= {**to.given(), "database": to.database}
    if to.host is not None and "," in to.host:
        given["host"] = to.host.split(",")
    if isinstance(to.port, str):
        ports = [int(port) for port in to.port.split(",")]
        given["port"] = ports if len(ports) > 1 else ports[0]
    more = dict(to.more)
    if "sslmode" in more:
        given["ssl"] = more["sslmode"]
    settings = given.pop("server_settings", None) or {}
    settings = {name: value for name, value in settings.items() if name not in IDENTITY}
    if to.token is not None:
        settings[CLIENT] = to.token
    if settings or given.get("server_settings"):
        given["server_settings"] = settings
    return given


def of_dialect(
    dialect: Dialect, args: tuple[Any, ...], parameters: Mapping[str, Any], to: Destination
) -> dict[str, Any]:
    """Return the keyword arguments with which *dialect* connects to *to* instead."""
    if dialect.driver == "asyncpg":
        return asyncpg(parameters, to)
    return libpq({**from_text(args), **parameters}, to)


def from_text(args: tuple[Any, ...]) -> dict[str, Any]:
    """Return what a connection string among *args* says, as libpq reads it."""
    if not args or not isinstance(args[0], str) or not args[0]:
        return {}
    from psycopg2.extensions import parse_dsn

    return dict(parse_dsn(args[0]))
