"""Commands import the project's code, which may do anything then: it reaches no database."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

import pgsandbox
from tests.kit.external import External
from tests.kit.nightly import by_night

_SHOP = """
import atexit

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = "<url>"
engine = create_engine(URL)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders_of_customers"
    id: Mapped[int] = mapped_column(primary_key=True)


def drop():
    Base.metadata.drop_all(engine)


atexit.register(drop)
try:
    drop()
except Exception as error:
    print("import:", type(error).__name__)
"""

_COMMANDS = {
    "doctor": ["doctor"],
    "reap": ["reap"],
    "schema diff": ["schema", "diff"],
}


@pytest.fixture
def shop(external: External, tmp_path: Path) -> Path:
    """A project that drops its tables when it is imported, and when the process ends."""
    external.execute('DROP DATABASE IF EXISTS "shop_of_customers" WITH (FORCE)')
    external.execute('CREATE DATABASE "shop_of_customers"')
    url = external.url.set(drivername="postgresql+psycopg2", database="shop_of_customers")
    text = url.render_as_string(hide_password=False)
    (tmp_path / "shop.py").write_text(_SHOP.replace("<url>", text))
    (tmp_path / "migrations").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pgsandbox]\nmetadata = "shop:Base"\nurl = "shop:URL"\nmigrations = "migrations"\n'
    )
    return tmp_path


@pytest.mark.parametrize("command", ["schema diff", *by_night("doctor", "reap")])
def test_a_project_that_drops_its_tables_at_import(
    shop: Path, external: External, command: str
) -> None:
    """Neither when it is imported nor at exit; the server counts no session of it."""
    kept = {name: text for name, text in os.environ.items() if "DATABASE_URL" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pgsandbox", *_COMMANDS[command]],
        cwd=shop,
        env=kept | {"PYTHONPATH": str(Path(pgsandbox.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)

    assert "import: DatabaseNotRequested" in done.stdout
    assert "DatabaseNotRequested" in done.stderr  # at exit
    assert "a command of pgsandbox imports the project's code" in done.stderr
    assert _sessions(external) == 0


def _sessions(external: External) -> int:
    external.wait_until_left("shop_of_customers")
    url = external.url.set(drivername="postgresql", database="postgres")
    text = url.render_as_string(hide_password=False)
    with closing(psycopg2.connect(text)) as connection, connection.cursor() as cursor:
        cursor.execute("select sessions from pg_stat_database where datname = 'shop_of_customers'")
        (count,) = cursor.fetchone() or (0,)
    return int(count)
