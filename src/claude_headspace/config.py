"""Where the database is: ``config.yaml``, overridden by the environment.

From weakest to strongest::

    the defaults below
    config.yaml, section ``database``
    DATABASE_HOST, DATABASE_PORT, DATABASE_NAME, DATABASE_USER, DATABASE_PASSWORD
    DATABASE_URL

The test database's URL is ``TEST_DATABASE_URL``, else the same with ``_test`` on the name. A
variable that is set to nothing counts as not set, but for DATABASE_PASSWORD, where nothing means no
password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import yaml
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from claude_headspace.errors import ConfigurationError
from claude_headspace.logs import masked

DRIVER = "postgresql+psycopg2"
"""The driver of every URL: which one a URL without any means depends on SQLAlchemy's version."""
CHECKOUT = Path(__file__).resolve().parents[2]
"""The directory that holds ``config.yaml``, ``alembic.ini`` and ``migrations``."""
LONGEST_NAME = 63
"""Bytes; PostgreSQL cuts a longer name without an error (manual, 4.1.1)."""

_DEFAULTS: Mapping[str, str | int] = {
    "host": "localhost",
    "port": 5432,
    "name": "claude_headspace",
    "user": "postgres",
    "password": "",
    "pool_size": 10,
    "pool_timeout": 30,
}
_VARIABLES = {
    "host": "DATABASE_HOST",
    "port": "DATABASE_PORT",
    "name": "DATABASE_NAME",
    "user": "DATABASE_USER",
    "password": "DATABASE_PASSWORD",
}
_WITHOUT_DRIVER = ("postgresql", "postgres")


@dataclass(frozen=True)
class DatabaseSettings:
    """One database and how many connections to keep to it."""

    url: URL = field(repr=False)
    """The URL with its password; show ``masked_url`` instead."""
    pool_size: int
    """Connections kept open per process."""
    pool_timeout: int
    """Seconds to wait for one of them."""
    source: str
    """Where the URL came from, for people."""

    @property
    def masked_url(self) -> str:
        """The URL as it may be shown."""
        return masked(self.url)

    def engine_options(self) -> dict[str, object]:
        """Return the keyword arguments for ``create_engine``."""
        return {
            "pool_pre_ping": True,
            "pool_recycle": 3600,
            "pool_size": self.pool_size,
            "pool_timeout": self.pool_timeout,
            "connect_args": {"connect_timeout": 5},
        }


def load_settings(
    config_path: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> DatabaseSettings:
    """Return the settings of the application's database.

    Without *config_path* the file is ``config.yaml`` of the working directory, else that of the
    checkout, else none: the defaults are enough to run. A path that is given must exist.

    :raises ConfigurationError: naming the key or variable that can't be used.
    """
    environ = os.environ if environ is None else environ
    section, file = _section(config_path)
    values: dict[str, str | int] = {**_DEFAULTS, **section}
    from_environment = _from_environment(environ)
    values |= from_environment
    given_url = environ.get("DATABASE_URL", "")
    if given_url:
        url, source = _parsed(given_url, "DATABASE_URL"), "DATABASE_URL"
    else:
        url = _composed(values)
        source = ", ".join([file or "defaults", *(_VARIABLES[key] for key in from_environment)])
    return DatabaseSettings(
        url=url,
        pool_size=int(values["pool_size"]),
        pool_timeout=int(values["pool_timeout"]),
        source=source,
    )


def database_url() -> str:
    """Return the application's URL, password included, from ``config.yaml`` and the environment."""
    return load_settings().url.render_as_string(hide_password=False)


def test_database_url() -> str:
    """Return ``TEST_DATABASE_URL``, else the application's URL with ``_test`` on the name."""
    return derived_test_url(load_settings().url, os.environ).render_as_string(hide_password=False)


def derived_test_url(url: URL, environ: Mapping[str, str]) -> URL:
    """Return the URL of the test database that belongs to the database at *url*.

    :raises ConfigurationError: if the name with ``_test`` is too long: cut by the server, it could
        be the application's own.
    """
    given = environ.get("TEST_DATABASE_URL", "")
    if given:
        return _parsed(given, "TEST_DATABASE_URL")
    name = f"{url.database}_test"
    if len(name.encode()) > LONGEST_NAME:
        raise ConfigurationError(
            f"{name!r} has more than {LONGEST_NAME} bytes: set TEST_DATABASE_URL to a database "
            "with a shorter name"
        )
    return url.set(database=name)


def _section(config_path: str | Path | None) -> tuple[dict[str, str | int], str | None]:
    path = _found() if config_path is None else Path(config_path)
    if path is None:
        return {}, None
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # The parser's own message quotes the line, and the line may hold the password.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"{path}{where}: is not YAML") from None
    section = content.get("database") if isinstance(content, dict) else content
    if section is None:
        return {}, str(path)
    if not isinstance(section, dict):
        raise ConfigurationError(f"{path}: section database must hold keys and values")
    return {key: _checked(key, value, path) for key, value in section.items()}, str(path)


def _found() -> Path | None:
    for directory in (Path.cwd(), CHECKOUT):
        path = directory / "config.yaml"
        if path.is_file():
            return path
    return None


def _checked(key: object, value: object, path: Path) -> str | int:
    if key not in _DEFAULTS:
        nearest = get_close_matches(str(key), _DEFAULTS, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise ConfigurationError(f"{path}: database.{key} is not a setting{hint}")
    if isinstance(_DEFAULTS[str(key)], int):
        return _number(value, f"{path}: database.{key}")
    if value is None and key == "password":
        return ""
    # YAML reads an unquoted 0123 as 83 and yes as true: what was meant can't be told any more.
    if not isinstance(value, str):
        raise ConfigurationError(f"{path}: database.{key} must be a string; put it in quotes")
    if not value and key != "password":
        raise ConfigurationError(f"{path}: database.{key} must not be empty")
    return value


def _number(value: object, where: str) -> int:
    try:
        number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else 0
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigurationError(f"{where} must be a whole number above 0")
    return number


def _from_environment(environ: Mapping[str, str]) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for key, variable in _VARIABLES.items():
        value = environ.get(variable)
        if value is None or (value == "" and key != "password"):
            continue
        found[key] = _number(value, variable) if key == "port" else value
    return found


def _composed(values: Mapping[str, str | int]) -> URL:
    host, port = str(values["host"]), int(values["port"])
    # A host that is a directory holds a Unix socket; a URL says that in its query.
    is_socket = host.startswith("/")
    return URL.create(
        DRIVER,
        username=str(values["user"]),
        password=str(values["password"]) or None,
        host=None if is_socket else host,
        port=None if is_socket else port,
        database=str(values["name"]),
        query={"host": host, "port": str(port)} if is_socket else {},
    )


def _parsed(given: str, variable: str) -> URL:
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        # What can't be taken apart can't be masked either.
        raise ConfigurationError(
            f"{variable} is not a database URL, such as {DRIVER}://user:password@host:5432/name"
        ) from None
    if url.drivername in _WITHOUT_DRIVER:
        url = url.set(drivername=DRIVER)
    if url.get_backend_name() != "postgresql":
        raise ConfigurationError(f"{variable} must be a PostgreSQL URL: {masked(given)}")
    if not url.database:
        raise ConfigurationError(f"{variable} names no database: {masked(given)}")
    return url
