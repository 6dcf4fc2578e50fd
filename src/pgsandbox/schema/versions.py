"""Where Alembic writes down which migrations have run."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy.engine import URL

from pgsandbox.schema.builders import alembic_config, connected
from pgsandbox.schema.logs import logging_kept
from pgsandbox.schema.schema_objects import Catalog, Key


def version_tables(location: Path, url: URL) -> frozenset[str]:
    """Return the qualified names of the version tables that the environment at *location* uses.

    Its env.py runs, as it does for ``alembic current``, and says so itself: the names are what it
    gives to ``context.configure`` (``version_table``, ``version_table_schema``).
    """
    from alembic.runtime.environment import EnvironmentContext  # Alembic is optional
    from alembic.script import ScriptDirectory

    found: set[str] = set()

    def look(_: Any, context: Any) -> list[Any]:
        found.add(version_table_of(context))
        return []

    with connected(url) as connection, logging_kept():
        config = alembic_config(location, url, connection)
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            script = ScriptDirectory.from_config(config)
            with EnvironmentContext(config, script, fn=look):
                script.run_env()
        connection.rollback()
    return frozenset(found)


def version_table_of(context: Any) -> str:
    """Return the qualified name of the version table of Alembic's migration *context*."""
    quote = context.dialect.identifier_preparer.quote
    schema = context.version_table_schema or context.dialect.default_schema_name or "public"
    return f"{quote(schema)}.{quote(context.version_table)}"


def without_versions(
    catalog: Catalog, tables: frozenset[str], models: Catalog | None = None
) -> Catalog:
    """Return *catalog* without Alembic's own *tables*, and schemas made for these alone.

    A schema that *models* have stays, and so does ``public``, which every database begins with.
    """
    names = {key.identity for key in catalog if key.kind == "relation"}
    homes = {catalog[Key("relation", table)].parent for table in tables if table in names}
    left = catalog.without(tables)
    there = {Key("schema", "public"), *(models or ())}
    made = [each for each in homes if each and each not in there]
    emptied = {each for each in made if not any(left.below(each))}
    kept = {key: each for key, each in left.objects.items() if key not in emptied}
    return Catalog(MappingProxyType(kept))
