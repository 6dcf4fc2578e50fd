"""Is this database ours to touch? Pure rules on URLs, connection arguments, names and marks.

Three questions are answered here, and each has one answer that does damage when it is wrong:

* `masked`, `masked_sql`: may this text be shown? A wrong yes shows a password, so that doubt hides
  too much (`pgsandbox.masking`).
* `is_same_database`: does this connection go to our test database? A wrong yes lets a test into a
  foreign one, so that doubt says no. `target_of` reads where a driver call goes.
* `is_ours`: did we make this database? A wrong yes drops somebody's data, so that only a mark
  that names this very database counts. `creation_limit` covers the instant before the mark.

Nothing here connects to anything.
"""

from __future__ import annotations

import ipaddress
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote

from pgsandbox.masking import masked, masked_place, masked_sql

__all__ = [
    "DEFAULT_PORT",
    "LONGEST_NAME",
    "LOOPBACK",
    "Mark",
    "Target",
    "creation_limit",
    "is_ours",
    "is_same_database",
    "masked",
    "masked_place",
    "masked_sql",
    "target_of",
]

LONGEST_NAME = 63
"""Bytes of a database name that PostgreSQL keeps; it cuts the rest (manual, 4.1.1)."""

# ---------------------------------------------------------------------------------- targets

DEFAULT_PORT = 5432

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""What people call this machine."""
_SOCKET_FILE = re.compile(r"(?P<directory>/.*)/\.s\.PGSQL\.(?P<port>\d+)", re.DOTALL)
_URI = re.compile(
    r"postgres(?:ql)?://"
    r"(?:(?P<user>[^:@/?#]*)(?::[^@/?#]*)?@)?"
    r"(?P<host>\[[^\]@/?#]*\]|[^\[\]:@/?#]*)(?::(?P<port>[^@/?#]*))?"
    r"(?:/(?P<dbname>[^?#]*))?"
    r"(?:\?(?P<query>[^@#]*))?"
)
_PAIR = re.compile(
    r"\s*(?P<name>\w+)\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)|\Z)",
    re.DOTALL,
)
# Arguments that decide the target in a way that can't be read from the call.
_OPAQUE = ("service", "async_creator_fn", "unix_sock")


@dataclass(frozen=True)
class Target:
    """The database that a connection goes to."""

    host: str | None
    """A host name, an address, or the directory of a Unix socket; None where the driver chooses."""
    port: int
    """The port, which is part of a Unix socket's file name as well."""
    database: str | None
    """The database's name; None if it is that of an operating system user."""
    user: str | None = None
    """The role. It does not decide which database this is."""
    unknown: str = ""
    """Why the target can't be told; such a target is the same as no other, not even as itself."""

    def __str__(self) -> str:
        if self.unknown:
            return f"unknown ({self.unknown})"
        host = "the driver's default host" if self.host is None else self.host
        return masked_place(f"{host}:{self.port}/{self.database or ''}")


def target_of(
    args: tuple[Any, ...], parameters: Mapping[str, Any], environ: Mapping[str, str]
) -> Target:
    """The database that a driver's ``connect(*args, **parameters)`` would open.

    Reads the arguments of psycopg2, psycopg and asyncpg: a connection string as the first argument
    or as ``dsn`` or ``conninfo``, keywords that override it, and then libpq's variables (PostgreSQL
    manual, 34.1 and 34.15). The target is unknown where a service or a function decides, where
    several hosts are tried, and where two drivers would read the same arguments differently.
    """
    try:
        given = _given(args, parameters)
        if "PGSERVICE" in environ:
            raise _UnreadableError("the service of PGSERVICE decides")
        host, port = _address(given, environ)
    except _UnreadableError as doubt:
        return Target(None, DEFAULT_PORT, None, unknown=str(doubt))
    user = _first(given.get("user"), environ.get("PGUSER"))
    database = _first(given.get("dbname"), environ.get("PGDATABASE"))
    return Target(host or None, port, database or user or None, user or None)


def is_same_database(a: Target, b: Target) -> bool:
    """Whether both targets are certainly the same database of the same server.

    * ``localhost``, ``127.0.0.1`` and ``::1`` are one host; no other address of the loopback
      network is. Host names are compared without regard to case, addresses by value.
    * A Unix socket is only the same as one in a directory of the same spelling, apart from double
      and trailing slashes. It is never the same as ``localhost``: another server may listen there.
      Links are not followed, and ``..`` is not resolved, which without links would be wrong.
    * No host at all is only the same as no host at all: each driver has a default of its own.
    * Database names count up to 63 bytes, as the server reads them, with regard to case.
    * Roles are not compared: another role in our test database is still in our test database.
    """
    if a.unknown or b.unknown or not a.database or not b.database:
        return False
    return (
        a.port == b.port
        and _normal_host(a.host) == _normal_host(b.host)
        and _as_stored(a.database) == _as_stored(b.database)
    )


class _UnreadableError(Exception):
    """The arguments don't say for certain where the connection goes."""


def _given(args: tuple[Any, ...], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What the call itself says, by libpq's names."""
    keywords = {name: value for name, value in parameters.items() if value is not None}
    strings = [keywords.pop(name) for name in ("dsn", "conninfo") if name in keywords]
    strings += [value for value in args[:1] if value is not None]
    if len(strings) > 1:
        raise _UnreadableError("more than one connection string is given")
    given = _read_string(strings[0]) if strings else {}
    if "database" in keywords:
        database = keywords.pop("database")
        if keywords.setdefault("dbname", database) != database:
            raise _UnreadableError("dbname and database are both given")
    given |= keywords
    for name in _OPAQUE:
        if name in given:
            raise _UnreadableError(f'the argument "{name}" decides')
    return given


def _read_string(string: object) -> dict[str, Any]:
    if not isinstance(string, str):
        raise _UnreadableError("the connection string is no text")
    if string.startswith(("postgresql://", "postgres://")):
        return _read_uri(string)
    given, position = {}, 0
    while string[position:].strip():
        pair = _PAIR.match(string, position)
        if pair is None:
            raise _UnreadableError("the connection string can't be read")
        value = pair["bare"] if pair["quoted"] is None else pair["quoted"]
        given[pair["name"]] = re.sub(r"\\(.)", r"\1", value or "", flags=re.DOTALL)
        position = pair.end()
    return given


def _read_uri(uri: str) -> dict[str, Any]:
    """Read *uri* where libpq and asyncpg read it alike; they differ on unescaped ``@ / ? #``."""
    parts = _URI.fullmatch(uri)
    if parts is None:
        raise _UnreadableError("the connection URL is ambiguous, or names several hosts")
    given = {
        name: unquote(parts[name]) for name in ("user", "host", "port", "dbname") if parts[name]
    }
    if parts["host"].startswith("["):
        given["host"] = given["host"][1:-1]
    for option in (parts["query"] or "").split("&"):
        name, _, value = option.partition("=")
        name = unquote(name)
        given["dbname" if name == "database" else name] = unquote(value)
    return given


def _address(given: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, int]:
    explicit, implied = given.get("host"), environ.get("PGHOST")
    if explicit is not None and not explicit and implied:
        raise _UnreadableError("the host is empty, and PGHOST is set")
    host = _single(_first(explicit, implied), "host")
    address = _single(_first(given.get("hostaddr"), environ.get("PGHOSTADDR")), "hostaddr")
    if address and "hostaddr" not in given and _normal_host(host) != _normal_host(address):
        # Without a host, asyncpg goes to its default instead: it does not read that variable.
        raise _UnreadableError("PGHOSTADDR names another address than the host")
    host = address or host
    port = _single(_first(given.get("port"), environ.get("PGPORT")), "port").strip()
    if port and not (port.isascii() and port.isdigit()):
        raise _UnreadableError("the port is not a number")
    socket = _SOCKET_FILE.fullmatch(host)
    if socket:
        return socket["directory"], int(socket["port"])
    return host, int(port or DEFAULT_PORT)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), "")


def _single(value: Any, name: str) -> str:
    """*value* as text, if it is one: several stand in a list, or in a text between commas."""
    values = value if isinstance(value, (list, tuple)) else str(value).split(",")
    if len(values) != 1:
        raise _UnreadableError(f"{name} has several values")
    return str(values[0])


def _normal_host(host: str | None) -> str | None:
    """*host* in the spelling that all its equals share."""
    if not host:
        return None
    if host.startswith("@"):
        return host
    if host.startswith("/"):
        return "/" + "/".join(part for part in host.split("/") if part not in ("", "."))
    name = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        name = str(mapped or address)
    return "localhost" if name in LOOPBACK else name


def _as_stored(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")[:LONGEST_NAME]


# ------------------------------------------------------------------------------------ marks

_PREFIX = "pgsandbox"
_VERSION = 1
# Far above what max_connections can be (262143), so that nobody else has a use for such a limit.
_LOWEST_LIMIT = 1_500_000_000
_LIMITS = 600_000_000


@dataclass(frozen=True)
class Mark:
    """What pgsandbox writes on each database that it makes, as the comment on that database.

    The mark names the database that it is on, by name, oid and server, so that it is worth nothing
    anywhere else: not on a database that was renamed, not on a restored copy (``pg_dump --create``
    copies comments), not where somebody pasted it.
    """

    database: str
    """The name of the database that bears the mark."""
    oid: int
    """Its oid (``pg_database.oid``)."""
    server: str
    """The server's system identifier (``pg_control_system()``); empty if the role may not read it.

    Fresh servers count oids from the same number, so that an oid alone is not unique.
    """
    purpose: str = "test"
    """What it was made for."""
    owner: str = ""
    """For people: which project made it."""
    created: str = ""
    """For people: when."""
    is_kept: bool = False
    """Whether somebody asked that no later run removes it."""
    used: str = ""
    """When a template was last used; of those that are kept, the oldest goes first."""
    inputs: str = ""
    """What a template was built from, so that a later run can tell whether it still holds."""

    def encode(self) -> str:
        """The mark as a comment. Plain ASCII, so that it survives in every encoding of a server."""
        said = {
            name: value
            for name, value in asdict(self).items()
            if value or name not in _OF_TEMPLATES
        }
        return f"{_PREFIX} {_VERSION} {json.dumps(said, sort_keys=True)}"

    @staticmethod
    def decode(comment: str | None) -> Mark | None:
        """The mark that *comment* is, or None: anything else, or of a version we don't know."""
        prefix = f"{_PREFIX} {_VERSION} "
        if comment is None or not comment.startswith(prefix):
            return None
        try:
            fields = json.loads(comment.removeprefix(prefix))
        except (ValueError, RecursionError):
            return None
        wanted = {name: type(value) for name, value in asdict(_EXAMPLE).items()}
        if not isinstance(fields, dict):
            return None
        if not wanted.keys() - _OF_TEMPLATES <= fields.keys() <= wanted.keys():
            return None
        if any(type(value) is not wanted[name] for name, value in fields.items()):
            return None
        return Mark(**fields)


_EXAMPLE = Mark(database="", oid=0, server="")
_OF_TEMPLATES = frozenset({"used", "inputs"})
"""Fields that no other database has."""


def is_ours(comment: str | None, name: str, oid: int, server: str | None = None) -> bool:
    """Whether *comment* is our mark, and names the very database that it was read from.

    *server* is the system identifier of the server it was read from; without it, name and oid
    decide alone.
    """
    mark = Mark.decode(comment)
    return (
        mark is not None
        and (mark.database, mark.oid) == (name, oid)
        and (server is None or mark.server == server)
    )


def creation_limit(name: str) -> int:
    """The connection limit that a database of ours bears from its creation until it is marked.

    CREATE DATABASE can't share a transaction with COMMENT, but it writes the connection limit into
    the same catalog row (``pg_database.datconnlimit``). A database with this limit and no comment
    was made by a run that died before it could mark it. The limit depends on the name, so that it
    says nothing about a database that was renamed.
    """
    return _LOWEST_LIMIT + zlib.crc32(name.encode("utf-8", "surrogateescape")) % _LIMITS
