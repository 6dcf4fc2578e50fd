"""A package that is not installed is named with the extra of ours that has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from pgsandbox import schema
from pgsandbox.errors import ConfigurationError
from pgsandbox.wiring.resolving import driver_of

_WITHOUT_ALEMBIC = "import sys; sys.modules['alembic'] = None; import pgsandbox.schema.migrating"


@pytest.mark.parametrize(
    ("driver", "missing"), [("asyncpg", "asyncpg"), ("psycopg", "psycopg"), ("asyncpg", "greenlet")]
)
def test_a_driver_that_is_not_there(monkeypatch, driver, missing):
    """Also what SQLAlchemy needs for it."""
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(ConfigurationError, match=r"pgsandbox\[async\]"):
        driver_of(make_url(f"postgresql+{driver}://db/shop"))


def test_migrations_without_alembic(monkeypatch):
    """Said before any database is made."""
    monkeypatch.setitem(sys.modules, "alembic", None)

    with pytest.raises(ConfigurationError, match=r"pgsandbox\[migrations\]"):
        schema.MigrationsBuilder(Path("migrations"))


def test_migration_tests_without_alembic():
    """Their import says it, in the place of Python's ModuleNotFoundError."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_ALEMBIC], capture_output=True, text=True, check=False
    )

    assert 'pip install "pgsandbox[migrations]"' in done.stderr
