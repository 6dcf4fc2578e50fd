"""Real connections that an engine made without SQLAlchemy: those of ``creator=``.

SQLAlchemy's ``do_connect`` event does not fire for them, so the pool's events have to see them:
when one appears it is refused unless it goes to the test database, and when it is handed out for
the first time a stand-in takes its place.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL, Dialect

from pgsandbox import guard

_DRIVERS = ("psycopg2", "psycopg", "asyncpg")


def driver_of(connection: Any) -> str | None:
    """Return the name of the PostgreSQL driver whose connection this is, if it is one."""
    modules = {base.__module__.split(".")[0] for base in type(connection).__mro__}
    return next((driver for driver in _DRIVERS if driver in modules), None)


def target_of(connection: Any) -> guard.Target:
    """Return the database that the open *connection* of psycopg2 or psycopg goes to."""
    info = connection.info
    return guard.Target(info.host or None, int(info.port), info.dbname, info.user)


def dialect_of(connection: Any) -> Dialect:
    """Return a dialect for *connection*, whose engine the pool's events do not name."""
    driver = driver_of(connection)
    kind = URL.create(f"postgresql+{driver}").get_dialect()
    made = kind()
    made.dbapi = kind.import_dbapi()
    return made
