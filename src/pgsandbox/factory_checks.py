"""A project's factories, written from its models and checked in its test database.

The work itself is in ``factories.generating`` and ``factories.checking``; here they get the models,
the modules and the databases of a `Run`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from sqlalchemy import Connection, MetaData, create_engine
from sqlalchemy.pool import NullPool

from pgsandbox import config
from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.factories import checking, generating
from pgsandbox.factories.persisting import TrialConnections
from pgsandbox.reports import Finding, Report, left_over
from pgsandbox.wiring import DEFAULT, Run, started
from pgsandbox.wiring.application import context_of
from pgsandbox.wiring.resolving import metadata_of

_NAMES = ("factories.py", "factories/__init__.py")


def generate_factories(settings: Settings) -> generating.Generated:
    """Return a module with a factory for each model of the project; no database is needed."""
    run = Run(settings)
    run.interceptor.install()
    try:
        _ = run.project.app  # whose factory may be what imports the models
        metadatas = [each for _, each in _metadatas(settings)]
        return generating.generate(metadatas, settings.root)
    finally:
        run.interceptor.remove()


def check_factories(settings: Settings) -> Report:
    """Build the project's databases, check its factories in them, and drop them again."""
    with started(settings) as run, _connections(run) as connections:
        return FactoryChecks(run, connections[DEFAULT], connections).all()


@dataclass(frozen=True)
class FactoryChecks:
    """The check of one project's factories, in databases that somebody else provides."""

    run: Run
    """Whose settings and models it uses."""
    connection: Connection
    """To the project's own test database, in a transaction that is rolled back."""
    binds: dict[str, Connection]
    """To the others, by name."""

    def all(self) -> Report:
        """Report everything that is wrong with the factories."""
        settings = self.run.settings
        with context_of(self.run.project.app):
            named = list(_metadatas(settings))
            modules = modules_of(settings)
            binds = {
                table: self.binds[name]
                for name, metadata in named
                if name != DEFAULT and name in self.binds
                for table in metadata.tables.values()
            }
            metadatas = [
                metadata for name, metadata in named if name == DEFAULT or name in self.binds
            ]
            bench = TrialConnections(self.connection, binds)
            found = checking.check(modules, metadatas, bench, settings.root)
            ignored = [Ignore(**entry) for entry in settings.factories_ignore]
            left = left_over(found, ignored, "factories-ignore", "reference/factories/")
            return checking.report(left, *checking.count_of(modules, metadatas))


@dataclass(frozen=True)
class Ignore:
    """A finding that the project lives with."""

    object: str
    """The class, or the class and its field."""
    reason: str
    """Why it may stay."""
    finding: str = ""
    """The code; without it every finding about the object."""

    def covers(self, found: Finding) -> bool:
        """Say whether *found* is meant."""
        is_about_it = self.object in {found.subject, found.subject.partition(".")[0]}
        return is_about_it and self.finding in {"", found.code}


def modules_of(settings: Settings) -> list[ModuleType]:
    """Return the modules with the project's factories, imported.

    They are those that the setting ``factories`` names; without it, ``factories.py`` or the package
    ``factories`` in one of the folders of ``paths``, or above it.
    """
    if settings.factories:
        return [config.imported(name) for name in settings.factories]
    for place in places_of(settings):
        if place.is_file():
            return [_import_file(place)]
    raise ConfigurationError(
        "There are no factories to check.",
        facts=[Fact("looked for", str(each)) for each in places_of(settings)],
        remedy="Write them with `pgsandbox factories generate`, or name their module in "
        'factories = ["tests.factories"] of [tool.pgsandbox].',
    )


def places_of(settings: Settings) -> list[Path]:
    """Return the files where factories are looked for, the likeliest first."""
    folders: list[Path] = []
    for path in settings.paths:
        start = settings.root / path
        folders += [each for each in (start, *start.parents) if each.is_relative_to(settings.root)]
    return [folder / name for folder in dict.fromkeys(folders) for name in _NAMES]


def _import_file(place: Path) -> ModuleType:
    """Import a file under the name that pytest gives it: from the first folder of no package."""
    module = place.parent if place.name == "__init__.py" else place.with_suffix("")
    top = module.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    if str(top) not in sys.path:
        sys.path.insert(0, str(top))
    return config.imported(".".join(module.relative_to(top).parts))


def _metadatas(settings: Settings) -> Iterator[tuple[str, MetaData]]:
    for each in settings.metadata:
        yield from ((DEFAULT, found) for found in metadata_of(each, None))
    for name, bind in settings.binds.items():
        for each in bind.metadata:
            yield from ((name, found) for found in metadata_of(each, name))


@contextlib.contextmanager
def _connections(run: Run) -> Iterator[dict[str, Connection]]:
    """Connect to each of the run's databases; whatever is done there is rolled back."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Connection] = {}
        for name in [*run.run_databases][::-1]:
            url = run.url_of(name)
            # What is asynchronous waits for nobody here; the kit itself always has psycopg2.
            if url.get_driver_name() == "asyncpg":
                url = url.set(drivername="postgresql+psycopg2")
            stack.enter_context(run.building(url))
            engine = create_engine(url, poolclass=NullPool)
            found[name] = stack.enter_context(engine.connect())
            transaction = found[name].begin()
            stack.callback(transaction.rollback)
        yield found
