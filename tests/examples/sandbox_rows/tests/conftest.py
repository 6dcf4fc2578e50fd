"""Three ways to reach the shop's database, and the proof that no test leaves anything in it."""

from importlib import import_module

import pytest
from sqlalchemy import text

_TABLES = {"default": ("items", "parts", "shelves"), "reports": ("report",), "audit": ("entry",)}
_ROWS = (
    "select (select count(*) from items) + (select count(*) from parts)"
    " + (select count(*) from shelves)"
)
_MADE_BY_TESTS = "select count(*) from pg_class where relname like 'made_by_test%'"


@pytest.fixture(params=["plain", "scoped", "web"])
def shop(request):
    """The shop by plain sessions, by a scoped session and by Flask-SQLAlchemy."""
    return import_module(f"shop.{request.param}")


@pytest.fixture(autouse=True)
def nothing_remains(pg, db_connection):
    """Of the tests before this one nothing is left, seen from inside and from outside."""
    assert db_connection.scalar(text(_ROWS)) == 0
    assert db_connection.scalar(text(_MADE_BY_TESTS)) == 0
    db_connection.rollback()
    look_from_outside(pg)

    yield


@pytest.fixture(autouse=True)
def nothing_is_committed(pg):
    """At the end of a test, while its rows are still there, nobody outside has ever seen one."""
    yield

    look_from_outside(pg)


def look_from_outside(pg):
    """Look at every table of every bind from outside of the test's transaction."""
    assert pg.outside(_MADE_BY_TESTS) == 0
    for bind, tables in _TABLES.items():
        for table in tables:
            assert pg.outside(f"select count(*) from {table}", of=bind) == 0
