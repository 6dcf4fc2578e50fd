"""Two ways to reach the shop's database, and the proof that no test finds what another left."""

from importlib import import_module

import pytest
from sqlalchemy import text

_ROWS = (
    "select (select count(*) from items) + (select count(*) from parts)"
    " + (select count(*) from shelves)"
)
_MADE_BY_TESTS = "select count(*) from pg_class where relname like 'made_by_test%'"


@pytest.fixture(params=["plain", "scoped"])
def shop(request):
    """The shop by plain sessions and by scoped ones."""
    return import_module(f"shop.{request.param}")


@pytest.fixture
def look_from_outside(pg):
    """A function that looks at every table from outside of the test."""

    def look():
        assert pg.outside(_MADE_BY_TESTS) == 0
        assert pg.outside(_ROWS) == 0

    return look


@pytest.fixture(autouse=True)
def nothing_remains(db_connection, look_from_outside):
    """Of the tests before this one nothing is left, seen from inside and from outside."""
    assert db_connection.scalar(text(_ROWS)) == 0
    assert db_connection.scalar(text(_MADE_BY_TESTS)) == 0
    db_connection.rollback()
    look_from_outside()
