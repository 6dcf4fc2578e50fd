"""Which driver a connection belongs to, and which database it goes to."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.engine import AdaptedConnection

from pgsandbox import guard

SUPPORTED = ("psycopg2", "psycopg", "asyncpg")
"""The drivers whose connections can be judged and sent to the endpoint."""


def driver_of(connection: Any) -> str | None:
    """Return the name of the PostgreSQL driver whose connection this is, if it is one."""
    driver = connection._connection if is_async(connection) else connection
    modules = {base.__module__.split(".")[0] for base in type(driver).__mro__}
    return next((driver for driver in SUPPORTED if driver in modules), None)


def target_of(connection: Any) -> guard.Target:
    """Return the database that the open *connection* goes to."""
    if driver_of(connection) == "asyncpg":
        driver = connection._connection
        host, port = driver._addr if isinstance(driver._addr, tuple) else (driver._addr, None)
        if port is None:  # a socket's file, which ends in .s.PGSQL.<port>
            host, _, port = str(host).rpartition("/.s.PGSQL.")
        return guard.Target(host, int(port), driver._params.database, driver._params.user)
    info = connection.info
    return guard.Target(info.host or None, int(info.port), info.dbname, info.user)


def name_of(connection: Any) -> str:
    """Return the package of the driver whose *connection* this is, known or not."""
    driver = connection._connection if is_async(connection) else connection
    return next(each.__module__ for each in type(driver).__mro__).partition(".")[0]


def files_of_sqlite(connection: Any) -> list[str] | None:
    """Return the files that a *connection* of SQLite's has open; None if it is another's.

    In memory, and in a temporary file that nobody else can open, it has none.
    """
    if not isinstance(connection, sqlite3.Connection):
        return None
    cursor = sqlite3.Cursor(connection)  # whatever rows the application wants to have
    cursor.execute("pragma database_list")
    found = [str(file) for _, _, file in cursor.fetchall() if file]
    cursor.close()
    return found


def is_async(connection: Any) -> bool:
    """Whether *connection* is SQLAlchemy's wrapping of an asynchronous driver's."""
    return isinstance(connection, AdaptedConnection)


def asynchronous_of(driver: str) -> str | None:
    """Return *driver* if it has an asynchronous side, otherwise None."""
    return driver if driver in ("asyncpg", "psycopg") else None
