"""Where the database is: the defaults, config.yaml, a variable for each key, DATABASE_URL.

Each is stronger than the one before. A variable that is set to nothing counts as not set, but for
DATABASE_PASSWORD, where nothing means no password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, InstanceOf, ValidationError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from claude_headspace.domain.validation import filled, problems, says
from claude_headspace.errors import ConfigurationError
from claude_headspace.logs import masked

DRIVER = "postgresql+psycopg2"
"""The driver of every URL: which one a URL without any means depends on SQLAlchemy's version."""
CHECKOUT = Path(__file__).resolve().parents[2]
"""The directory that holds ``config.yaml``, ``alembic.ini`` and ``migrations``."""


def parsed(given: str) -> URL:
    """Return a PostgreSQL URL with a driver; what can't be taken apart can't be masked, either."""
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise ValueError(f"is not a database URL, such as {DRIVER}://user:password@h/d") from None
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername=DRIVER)
    if url.get_backend_name() != "postgresql" or not url.database:
        raise ValueError(f"must be a PostgreSQL URL with a database: {masked(url)}")
    return url


# YAML reads an unquoted 0123 as 83 and yes as true: what was meant can't be told any more.
Word = Annotated[str, says("must be a string; put it in quotes")]
Filled = Annotated[Word, AfterValidator(filled)]
Whole = Annotated[int, Field(ge=1), BeforeValidator(str), says("must be a whole number above 0")]


class DatabaseSettings(BaseModel, extra="forbid", frozen=True):
    """One database, how many connections to keep to it, and the seconds to wait for one."""

    host: Filled = "localhost"
    port: Whole = 5432
    name: Filled = "claude_headspace"
    user: Filled = "postgres"
    password: Word = Field("", repr=False)
    pool_size: Whole = 10
    pool_timeout: Whole = 30
    given: Annotated[InstanceOf[URL], BeforeValidator(parsed)] | None = Field(
        None, alias="url", repr=False
    )

    @property
    def url(self) -> URL:
        """The URL with its password; a host that is a directory holds a Unix socket."""
        url = URL.create(DRIVER, self.user, self.password or None, database=self.name)
        if self.host.startswith("/"):
            return self.given or url.set(query={"host": self.host, "port": str(self.port)})
        return self.given or url.set(host=self.host, port=self.port)

    def engine_options(self) -> dict[str, object]:
        """Return the keyword arguments for ``create_engine``."""
        pool = {"pool_size": self.pool_size, "pool_timeout": self.pool_timeout}
        alive = {"pool_pre_ping": True, "pool_recycle": 3600}
        return {**pool, **alive, "connect_args": {"connect_timeout": 5}}


def load_settings(
    config_path: str | Path | None = None, environ: Mapping[str, str] = os.environ
) -> DatabaseSettings:
    """Return the settings, from *config_path* or the config.yaml of working directory or checkout.

    :raises ConfigurationError: naming the key or variable that can't be used.
    """
    found = (folder / "config.yaml" for folder in (Path.cwd(), CHECKOUT))
    path = Path(config_path) if config_path else next(filter(Path.is_file, found), None)
    values = _section(path) if path else {}
    where = {key: f"{path}: database.{key}" for key in values}
    for key in ("host", "port", "name", "user", "password", "url"):
        variable = f"DATABASE_{key.upper()}"
        if environ.get(variable) or (key == "password" and variable in environ):
            values[key], where[key] = environ[variable], variable
    try:
        return DatabaseSettings.model_validate(values)
    except ValidationError as error:
        known = [field.alias or name for name, field in DatabaseSettings.model_fields.items()]
        wrong = problems(error, known, "is not a setting")
        what = "; ".join(f"{where[key]} {why}" for key, why in wrong.items())
        raise ConfigurationError(what) from None


def database_url() -> str:
    """Return the application's URL, password included, from ``config.yaml`` and the environment."""
    return load_settings().url.render_as_string(hide_password=False)


def test_database_url() -> str:
    """Return ``TEST_DATABASE_URL``, else the application's URL with ``_test`` on the name."""
    url, given = load_settings().url, os.environ.get("TEST_DATABASE_URL")
    try:
        url = parsed(given) if given else url.set(database=f"{url.database}_test")
    except ValueError as error:
        raise ConfigurationError(f"TEST_DATABASE_URL {error}") from None
    # PostgreSQL cuts a longer name without an error (manual, 4.1.1): to the application's own, say.
    if len(str(url.database).encode()) > 63:
        raise ConfigurationError(f"{url.database!r} has more than 63 bytes: set TEST_DATABASE_URL")
    return url.render_as_string(hide_password=False)


def _section(path: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # The parser's own message quotes the line, and the line may hold the password.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{where}: is not YAML") from None
    section = (content.get("database") if isinstance(content, dict) else content) or {}
    if not isinstance(section, dict):
        raise ConfigurationError(f"{path}: section database must hold keys and values")
    return {key: value for key, value in section.items() if value is not None}
