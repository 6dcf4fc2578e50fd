"""Models and migrations become two databases, whose catalogs are compared.

Each is built the way a test run builds it, by a `Run` of its own, in a database that is marked,
leased and dropped again.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.reports import Finding, Report, in_order, left_over
from pgsandbox.schema.catalog import read_catalog
from pgsandbox.schema.compare import compare, tables_in_another_order
from pgsandbox.schema.findings import PAGE, Ignore, findings
from pgsandbox.schema.schema_objects import Catalog
from pgsandbox.schema.versions import version_tables, without_versions
from pgsandbox.wiring import DEFAULT, Application, started

How = Literal["metadata", "migrations"]


@dataclass(frozen=True)
class _Side:
    """What one way of building makes of the project's databases."""

    catalogs: dict[str, Catalog]
    """The schema of each, by the name of its bind."""
    version_tables: dict[str, frozenset[str]]
    """The tables in each where Alembic keeps its versions."""
    server: str
    """One line about the server."""
    app: Application | None
    """The application, which is made once."""


def compare_schemas(
    settings: Settings, *, column_order: bool = False, app: Application | None = None
) -> Report:
    """Build the models and the migrations of *settings*, and report what differs.

    Every bind with migrations is compared; with *column_order*, so is the order of columns.
    *app* is the application if it is made already. Raises ConfigurationError where there are no
    migrations, SchemaNotBuilt where either can't be built.
    """
    places = places_of_migrations(settings, "compare the models with")
    models = _built(settings, "metadata", places, app)
    migrated = _built(settings, "migrations", places, models.app)
    found: list[Finding] = []
    moved: list[str] = []
    compared = 0
    for name in places:
        left = models.catalogs[name]
        right = without_versions(migrated.catalogs[name], migrated.version_tables[name], left)
        differences = compare(left, right, column_order=column_order)
        found += [in_bind(each, name) for each in findings(differences, right)]
        moved += [] if column_order else tables_in_another_order(left, right)
        compared += len({*left, *right})
    ignored = [Ignore(**entry) for entry in settings.schema_ignore]
    reported = left_over(found, ignored, "schema-ignore", PAGE)
    hidden = len(found) - len([each for each in reported if each.code != "ignore-unused"])
    summary = [f"{compared} objects compared on {models.server}: {_counted(len(reported))}"]
    if hidden:
        summary.append(f"{hidden} ignored")
    if moved:
        tables = ", ".join(moved)
        summary.append(f"the order of columns, which is not compared, differs in {tables}")
    return Report(in_order(reported), "; ".join(summary) + ".")


def places_of_migrations(settings: Settings, purpose: str) -> dict[str, Path]:
    """Return where the migrations of each database are, by the name of its bind.

    Raises ConfigurationError if there are none to do *purpose*: "check", "compare".
    """
    binds = {name: bind.migrations for name, bind in settings.binds.items()}
    places = {DEFAULT: settings.migrations, **binds}
    found = {name: place for name, place in places.items() if place is not None}
    if not found:
        raise ConfigurationError(
            f"There are no migrations to {purpose}.",
            facts=[Fact("migrations", "none", settings.source_of("migrations"))],
            remedy='Set migrations = "migrations" in [tool.pgsandbox], which names the directory '
            "of the Alembic environment or its ini file; the setting schema may stay as it is.",
        )
    return found


def in_bind(found: Finding, name: str) -> Finding:
    """Return *found* with the name of the bind that it was found in."""
    return found if name == DEFAULT else replace(found, subject=f"{name}: {found.subject}")


def _built(settings: Settings, how: How, places: dict[str, Path], app: Application | None) -> _Side:
    with started(_only(settings, how), app) as run:
        catalogs, versions = {}, {}
        for name, place in places.items():
            url = run.url_of(name)
            with contextlib.closing(run.find_server().connect(url.database)) as connection:
                catalogs[name] = read_catalog(connection)
            if how == "migrations":
                with run.building(url.set(drivername="postgresql+psycopg2")):
                    versions[name] = version_tables(
                        place, url.set(drivername="postgresql+psycopg2")
                    )
        return _Side(catalogs, versions, run.describe_server().partition(" (")[0], run.project.app)


def _only(settings: Settings, how: How) -> Settings:
    """Return *settings* with every database that has migrations built in the way *how*, and empty.

    What seeds it is for tests, and fails where the other way makes no tables for it.
    """
    binds = {
        name: bind.changed(schema=how) if bind.migrations is not None else bind
        for name, bind in settings.binds.items()
    }
    here: How = how if settings.migrations is not None else "metadata"
    return settings.changed(
        schema=here, binds=MappingProxyType(binds), seed=None, keep=False, child_env=()
    )


def _counted(number: int) -> str:
    return f"{number or 'no'} finding{'' if number == 1 else 's'}"
