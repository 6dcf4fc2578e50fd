"""Where Alembic writes down which migrations have run."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from pgsandbox.schema.builders import alembic_config, connected
from pgsandbox.schema.logs import logging_kept


def version_tables(location: Path, url: URL) -> frozenset[str]:
    """Return the qualified names of the version tables that the environment at *location* uses.

    Its env.py runs, as it does for ``alembic current``, and says so itself: the names are what it
    gives to ``context.configure`` (``version_table``, ``version_table_schema``).
    """
    from alembic.runtime.environment import EnvironmentContext  # Alembic is optional
    from alembic.script import ScriptDirectory

    found: set[str] = set()

    def look(_: Any, context: Any) -> list[Any]:
        quote = context.dialect.identifier_preparer.quote
        schema = context.version_table_schema or context.connection.dialect.default_schema_name
        found.add(f"{quote(schema)}.{quote(context.version_table)}")
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
