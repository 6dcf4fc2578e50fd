"""The drawing of the reference application's schema is that of its database.

``RECORD=1 pytest tests/kit/integration/test_schema_diagram.py`` draws it anew.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from pgsandbox.plugin.pg import Pg
from pgsandbox.schema.catalog import read_catalog
from tests.kit.integration.schema_diagram import drawn

DRAWING = Path(__file__).parents[3] / "docs" / "explanation" / "claude-headspace.svg"
TITLE = "The tables of Claude Headspace, their columns, and what refers to what."


def test_the_drawing_shows_the_schema(pg: Pg) -> None:
    """Every table and column, read from the catalog that the migrations made."""
    with closing(pg.server.connect(make_url(pg.url).database)) as connection:
        catalog = read_catalog(connection).without(frozenset({"public.alembic_version"}))
    drawing = drawn(catalog, TITLE)
    if os.environ.get("RECORD"):
        DRAWING.write_text(drawing)

    assert DRAWING.read_text() == drawing
