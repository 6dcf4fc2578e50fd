"""Settings become a server, databases with their schema, and a door to them.

The one place where the layers below meet. A `Run` is made from a project's settings; `start` finds
the server and claims the databases, `heal` makes those anew that a test has changed for real, and
`stop` leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pgsandbox import config, databases, guard, schema, servers
from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, Fact, SchemaNotBuilt
from pgsandbox.sandbox import Door, Enclosure

DEFAULT = "default"
"""The name of the database that is not a bind."""


@dataclass
class Home:
    """One test database of this run: who owns it, what fills it, how tests reach it."""

    enclosure: Enclosure
    owned: databases.OwnedDatabase
    builder: schema.Builder


class Run:
    """Everything that one process of a test run has of PostgreSQL."""

    def __init__(self, settings: Settings, *, worker: str | None = None) -> None:
        self.settings = settings
        self.worker = worker
        self.door = Door(allowed=tuple(target_of(_url(each)) for each in settings.allow))
        self.homes: dict[str, Home] = {}
        """The test databases by the name of their bind; empty until `start`."""
        self._server: servers.Server | None = None
        self._environ: dict[str, str | None] = {}

    # -- the server ---------------------------------------------------------------------------

    def find_server(self) -> servers.Server:
        """Return the server of this run, found or started once.

        Raises:
            ServerError: there is no usable server; within 10 seconds.
            MayNotCreateDatabases: the role lacks CREATEDB.
        """
        if self._server is None:
            server = self._choose()
            try:
                with databases.administration(server) as connection:
                    databases.require_createdb(connection)
            except BaseException:
                server.release()
                raise
            self._server = server
        return self._server

    def _choose(self) -> servers.Server:
        settings = self.settings
        given = settings.test_database_url
        if settings.server != "embedded" and given is not None:
            return servers.given(
                _url(given, "TEST_DATABASE_URL"),
                reason="from TEST_DATABASE_URL",
                source="TEST_DATABASE_URL",
            )
        url = self.application_url()
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
            return servers.given(url, reason="the application's own server answers", source=source)
        if settings.server == "embedded":
            why = f"server = embedded, {settings.source_of('server')}"
        elif url is not None:
            why = "started, since the application's own server does not answer"
        else:
            why = "started, since nothing names a server"
        return servers.embedded(reason=why)

    # -- the databases ------------------------------------------------------------------------

    def start(self) -> None:
        """Create this run's databases and their schema; nothing if that is done already."""
        if self.homes:
            return
        server = self.find_server()
        try:
            for name, metadata, url, how, migrations in self._wanted():
                self.homes[name] = self._make(server, name, metadata, url, how, migrations)
            self._redirect()
            self._tell_children()
        except BaseException:
            self.stop()
            raise

    def heal(self) -> None:
        """Make every database anew that a test may have changed for real."""
        for home in self.homes.values():
            if home.enclosure.is_in_doubt:
                home.enclosure.close()
                home.owned.recreate()
                self._fill(home)

    def stop(self) -> None:
        """Drop this run's databases, or keep them if the settings say so; release the server."""
        with contextlib.ExitStack() as stack:
            if self._server is not None:
                stack.callback(self._server.release)
            for home in self.homes.values():
                end = home.owned.keep if self.settings.keep else home.owned.drop
                stack.callback(end)
                stack.callback(home.enclosure.close)
            self.homes = {}
            self.door.enclosures.clear()
            self._server = None
            for name, value in self._environ.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            self._environ = {}

    def url_of(self, name: str = DEFAULT) -> URL:
        """Return the URL of the test database, or of a bind's, with its password."""
        return self.homes[name].enclosure.url

    def application_url(self) -> URL | None:
        """Return the application's own URL, as far as the settings know one."""
        if self.settings.url is None:
            return None
        return _resolved_url(self.settings.url, "url", self.settings)

    def _wanted(self) -> Iterator[tuple[str, list[MetaData], URL | None, str, Path | None]]:
        settings = self.settings
        yield (
            DEFAULT,
            [m for each in settings.metadata for m in _metadata(each, None)],
            self.application_url(),
            settings.schema,
            settings.migrations,
        )
        for name, bind in settings.binds.items():
            url = _resolved_url(bind.url, f"binds.{name}.url", settings) if bind.url else None
            metadata = [m for each in bind.metadata for m in _metadata(each, name)]
            yield name, metadata, url, bind.schema, bind.migrations

    def _make(
        self,
        server: servers.Server,
        name: str,
        metadata: list[MetaData],
        url: URL | None,
        how: str,
        migrations: Path | None,
    ) -> Home:
        settings = self.settings
        seed: Any = None
        if settings.seed is not None and name == DEFAULT:
            seed = config.resolve(settings.seed)
        builder: schema.Builder
        if how == "migrations":
            assert migrations is not None  # config has checked that it is set
            builder = schema.MigrationsBuilder(migrations, settings.extensions, seed)
        else:
            builder = schema.MetadataBuilder(metadata, settings.extensions, seed)
        driver = url.get_driver_name() if url is not None else "psycopg2"
        owned = databases.claim(
            server,
            self._application_name(name, url),
            exact=self._exact_name() if name == DEFAULT else None,
            worker=self.worker,
            owner=str(settings.root),
        )
        test_url = server.url_of(owned.name, f"postgresql+{driver}")
        home = Home(Enclosure(name, test_url, target_of(test_url)), owned, builder)
        try:
            self._fill(home)
        except BaseException:
            home.enclosure.close()
            owned.drop()
            raise
        self.door.enclosures.append(home.enclosure)
        return home

    def _fill(self, home: Home) -> None:
        url = home.enclosure.url.set(drivername="postgresql+psycopg2")
        with self.door.building(url):
            try:
                home.builder.build(url)
            except SchemaNotBuilt as error:
                error.facts += (Fact("server", self.describe_server()),)
                raise
        home.enclosure.open(home.enclosure.url.get_driver_name())

    def _redirect(self) -> None:
        if not self.settings.redirect:
            return
        for name, _, url, _, _ in self._wanted():
            if url is not None:
                self.door.redirected[target_of(url)] = self.homes[name].enclosure

    def _tell_children(self) -> None:
        for name in self.settings.child_env:
            self._environ[name] = os.environ.get(name)
            os.environ[name] = self.url_of().render_as_string(hide_password=False)

    def _exact_name(self) -> str | None:
        if self.settings.test_database_url is None or self.settings.server == "embedded":
            return None
        return _url(self.settings.test_database_url, "TEST_DATABASE_URL").database

    def _application_name(self, name: str, url: URL | None) -> str:
        if url is not None and url.database:
            return url.database
        project = _project_name(self.settings.root)
        return project if name == DEFAULT else f"{project}_{name}"

    # -- words --------------------------------------------------------------------------------

    @property
    def has_server(self) -> bool:
        """Whether the server is found."""
        return self._server is not None

    @property
    def is_started(self) -> bool:
        """Whether the databases are there."""
        return bool(self.homes)

    def describe_server(self) -> str:
        """Return one line: the server, its version, why it was chosen."""
        server = self.find_server()
        where = "embedded" if server.kind == "embedded" else _place(server.url)
        return f"PostgreSQL {server.version_text}, {where} ({server.reason})"

    def describe_databases(self) -> str:
        """Return the names of this run's databases."""
        return ", ".join(home.owned.name for home in self.homes.values())


def target_of(url: URL) -> guard.Target:
    """Return what a connection to *url* opens."""
    parameters: dict[str, Any] = {
        "host": url.host,
        "port": url.port,
        "dbname": url.database,
        "user": url.username,
        **url.query,
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    return guard.target_of((), given, os.environ)


def _url(text: str, source: str = "allow") -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigurationError(
            f"{source} is not a database URL.",
            facts=[Fact("value", guard.masked(text), source)],
            remedy="Write it as postgresql+psycopg2://user:password@host:port/name.",
        ) from None
    if url.get_backend_name() != "postgresql":
        raise ConfigurationError(
            f"{source} names a database of {url.get_backend_name()}, and pgsandbox needs "
            "PostgreSQL.",
            facts=[Fact("value", guard.masked(text), source)],
            remedy="Write it as postgresql+psycopg2://user:password@host:port/name.",
        )
    return url


def _resolved_url(text: str, key: str, settings: Settings) -> URL:
    if "://" in text:
        return _url(text, key)
    found = config.resolve(text)
    value = found() if callable(found) else found
    if isinstance(value, URL):
        return value
    if not isinstance(value, str):
        raise ConfigurationError(
            f"{key} refers to {text}, which is not a URL and returns none.",
            facts=[Fact(key, text, settings.source_of(key.split(".", maxsplit=1)[0]))],
            remedy="Let it be, or return, a string or a SQLAlchemy URL.",
        )
    return _url(value, key)


def _metadata(reference: str, bind: str | None) -> Sequence[MetaData]:
    """Return the MetaData that *reference* names, itself or by its attribute ``metadata``.

    For a bind, Flask-SQLAlchemy's extension object has one for each in ``metadatas``.
    """
    found: Any = config.resolve(reference)
    by_bind = getattr(found, "metadatas", None)
    if bind is not None and isinstance(by_bind, dict) and bind in by_bind:
        found = by_bind[bind]
    metadata = found if isinstance(found, MetaData) else getattr(found, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise ConfigurationError(
            f"metadata refers to {reference}, which is no MetaData and has none.",
            facts=[Fact("type", type(found).__name__)],
            remedy="Name a MetaData, a declarative base, or a Flask-SQLAlchemy object.",
        )
    return [metadata]


def _project_name(root: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        document = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        name = str(document["project"]["name"])
        return re.sub(r"\W+", "_", name).strip("_").lower()
    return re.sub(r"\W+", "_", root.name).strip("_").lower()


def _place(url: URL) -> str:
    host = url.host or url.query.get("host") or "the default socket"
    return f"{host}:{url.port}" if url.port else str(host)
