"""URLs as people write them: taken apart once, and refused with the reason where that fails.

What can't be taken apart is never shown beyond what `guard.masked` leaves of it. What can, but only
into parts that nobody meant (an ``@`` in a host is the end of a password), is refused as well:
every later message would show these parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pgsandbox import guard
from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.servers import libpq

_REMEDY = (
    "Write it as postgresql+psycopg2://user:password@host:port/name; in user and password "
    "write @ as %40, : as %3A, / as %2F and % as %25."
)
_HIGHEST_PORT = 65535
_VARIABLE = re.compile(r"\$\{?(\w*(?:PORT|HOST|USER|DATABASE|URL)\w*)\}?")
_LISTS = ("host", "port")
_HOST = re.compile(r"[^\s@,?#\"'<>\\]*")


def url_of(text: str, name: str, source: str | None = None) -> URL:
    """Return the URL of PostgreSQL that *text* is.

    *name* is the setting's in messages; *source* says where its value came from.

    Raises:
        ConfigurationError: it is none, or one that nobody can connect to.
    """
    return checked(parsed(text, name, source), name, source)


def without_escapes(url: str) -> str:
    """Return *url* without the % that is not needed.

    A socket's folder stands in the query, where a / may stand as it is (RFC 3986, 3.4). Alembic's
    ``set_main_option`` and other readers of ini files take % for the beginning of a name.
    """
    before, mark, query = url.partition("?")
    return before + mark + query.replace("%2F", "/")


def parsed(text: str, name: str, source: str | None = None) -> URL:
    """Return the URL of any database that *text* is.

    Raises:
        ConfigurationError: it can't be taken apart, with the reason where that is known.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: what stands in the port's place
        why = next(_reasons(text), "it can't be taken apart")
    else:
        if "@" not in text.partition("://")[2].partition("/")[2].partition("?")[0]:
            return url
        why = "its last @ stands behind a /"
    raise ConfigurationError(
        f"{name} is not a database URL: {why}.",
        facts=[Fact("value", guard.masked(text), source or name)],
        remedy=_REMEDY,
    ) from None


def _reasons(text: str) -> Iterator[str]:
    """Why *text* is no URL, the likeliest first."""
    behind_the_scheme = text.partition("://")[2] or text
    address = re.split("[/?#]", behind_the_scheme.rpartition("@")[2], maxsplit=1)[0]
    if re.match(r"[\w+]+//", text):
        yield "a colon is missing before //"
    if "://" not in text:
        yield "it has no scheme"
    if variable := _VARIABLE.search(address):
        yield f"{variable[0]} in it was not expanded"
    if address.count("[") > address.count("]"):
        yield "the bracket around its IPv6 address is not closed"
    if "@" not in text and "%40" in text:
        yield "the @ before its host is written as %40"
    if "," in address:
        yield "it names several hosts, which are written as ?host=first:5432&host=second:5432"
    if ":" in address:
        yield "what stands in the place of its port is not a number"


def checked(url: URL, name: str, source: str | None = None) -> URL:
    """Return *url* as one of PostgreSQL's dialects, if it names a server that may exist.

    Raises:
        ConfigurationError: it names another kind of database, or no usable host or port.
    """
    backend = url.get_backend_name()
    if backend == "postgres":  # as hosting platforms write it; SQLAlchemy 1.4 gave it up
        url = url.set(drivername=url.drivername.replace("postgres", "postgresql", 1))
    elif backend != "postgresql":
        raise ConfigurationError(
            f"{name} names a database of {guard.masked(backend)}, and pgsandbox needs PostgreSQL.",
            facts=[_value(url, source or name)],
            remedy=_REMEDY,
        )
    why = next(_objections(url), None)
    if why is None:
        return url
    raise ConfigurationError(
        f"{name} names no server that pgsandbox can reach: {why}.",
        facts=[_value(url, source or name)],
        remedy=_REMEDY,
    )


def _objections(url: URL) -> Iterator[str]:
    """What is wrong with the parts of *url*."""
    if "@" in str(url.host or "") or "%40" in str(url.host or ""):
        yield "its password has an @ in it, which is written as %40"
    if "@" in str(url.database or ""):
        yield "the name of its database has an @ in it, as if one of its password were not escaped"
    if any(isinstance(value, tuple) and name not in _LISTS for name, value in url.query.items()):
        yield "one of its options is given more than once"
        return
    try:
        # As the driver will see them, with hosts and ports that stand among the options.
        keywords = libpq.arguments(libpq.normalised(url))
    except (ArgumentError, ValueError, TypeError):
        yield "its hosts and ports can't be read, one number for each host"
        return
    hosts, ports = (str(keywords.get(name) or "").split(",") for name in ("host", "port"))
    if any("\0" in str(value) for value in keywords.values()):
        yield "there is a NUL character in it"
    if not all(host.startswith("/") or _HOST.fullmatch(host) for host in hosts):
        yield "its host has a character that no host's name has"
    if len(ports) not in (1, len(hosts)):
        yield "it has not one port for each host"
    if url.port is not None and not 0 < url.port <= _HIGHEST_PORT:
        yield f"there is no port {url.port}"
    if not all(not port or _is_port(port) for port in ports):
        yield "its port is not a number from 1 to 65535"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:9]) <= _HIGHEST_PORT


def _value(url: URL, source: str) -> Fact:
    return Fact("value", guard.masked(url.render_as_string(hide_password=False)), source)
