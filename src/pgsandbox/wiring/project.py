"""The project whose tests run: its application, and the databases that its settings ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData
from sqlalchemy.engine import URL

from pgsandbox import schema
from pgsandbox.config import Settings
from pgsandbox.errors import GuardError
from pgsandbox.wiring.application import Application, application_of
from pgsandbox.wiring.resolving import metadata_of, project_name, resolved_url, seed_of

DEFAULT = "default"
"""The name of the database that is not a bind."""


@dataclass(frozen=True)
class WantedDatabase:
    """A database that the project's tests need."""

    name: str
    """`DEFAULT`, or the name of a bind."""
    metadata: list[MetaData]
    url: URL | None
    """The application's own URL of it, as far as the settings know one."""
    schema: str
    """What its schema is made from: the metadata, or migrations."""
    migrations: Path | None


class Project:
    """What the settings refer to, each called once."""

    def __init__(self, settings: Settings, app: Application | None = None) -> None:
        self._settings = settings
        self._app = app
        self._urls: dict[str, URL] = {}

    @property
    def app(self) -> Application | None:
        """The application that the settings name, or that was given; made once."""
        if self._app is None:
            self._app = application_of(self._settings)
        return self._app

    def application_url(self) -> URL | None:
        """Return the application's own URL, as far as the settings know one."""
        return self._url_from(self._settings.url, "url")

    def _url_from(self, setting: str | None, key: str) -> URL | None:
        """Return the URL that *setting* is or refers to; what it refers to is called once."""
        if setting is None:
            return None
        if key not in self._urls:
            self._urls[key] = resolved_url(setting, key, self._settings)
        return self._urls[key]

    def wanted(self) -> Iterator[WantedDatabase]:
        """Yield the databases that the tests need, the project's own first."""
        settings = self._settings
        with contextlib.suppress(GuardError):
            # Its factory may be what imports the models. One that connects is called again where
            # the database is there that it is to reach.
            _ = self.app
        yield WantedDatabase(
            DEFAULT,
            [found for each in settings.metadata for found in metadata_of(each, None)],
            self.application_url(),
            settings.schema,
            settings.migrations,
        )
        for name, bind in settings.binds.items():
            url = self._url_from(bind.url, f"binds.{name}.url")
            metadata = [found for each in bind.metadata for found in metadata_of(each, name)]
            yield WantedDatabase(name, metadata, url, bind.schema, bind.migrations)

    def builder_of(self, wanted: WantedDatabase) -> schema.Builder:
        """Return what builds the schema of a database that is *wanted*."""
        extensions = self._settings.extensions
        seed = seed_of(self._settings) if wanted.name == DEFAULT else None
        if wanted.schema == "migrations":
            assert wanted.migrations is not None  # config has checked that it is set
            return schema.MigrationsBuilder(wanted.migrations, extensions, seed)
        return schema.MetadataBuilder(wanted.metadata, extensions, seed)

    def name_for(self, wanted: WantedDatabase) -> str:
        """Return what the name of the test database is made from."""
        if wanted.url is not None and wanted.url.database:
            return wanted.url.database
        project = project_name(self._settings.root)
        return project if wanted.name == DEFAULT else f"{project}_{wanted.name}"

    def known_tables(self) -> list[str]:
        """Return the names of the tables that the metadata holds at the moment."""
        found = [metadata for each in self.wanted() for metadata in each.metadata]
        return [name for each in found for name in each.tables]
