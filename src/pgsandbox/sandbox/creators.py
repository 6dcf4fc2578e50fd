"""Real connections that an engine made without SQLAlchemy: those of ``creator=``.

SQLAlchemy's ``do_connect`` event does not fire for them, so the pool's events have to see them:
when one appears it is refused unless it goes to the test database, and when it is handed out for
the first time a stand-in takes its place.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL, AdaptedConnection, Dialect
from sqlalchemy.util import await_only

from pgsandbox import guard
from pgsandbox.sandbox.link import Link

_DRIVERS = ("psycopg2", "psycopg", "asyncpg")


def driver_of(connection: Any) -> str | None:
    """Return the name of the PostgreSQL driver whose connection this is, if it is one."""
    driver = connection._connection if is_async(connection) else connection
    modules = {base.__module__.split(".")[0] for base in type(driver).__mro__}
    return next((driver for driver in _DRIVERS if driver in modules), None)


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


def dialect_of(connection: Any) -> Dialect:
    """Return a dialect for *connection*, whose engine the pool's events do not name."""
    driver = driver_of(connection)
    kind = URL.create(f"postgresql+{driver}").get_dialect()
    if is_async(connection):
        kind = kind.get_async_dialect_cls(URL.create(f"postgresql+{driver}"))
    made = kind()
    made.dbapi = kind.import_dbapi()
    return made


def is_async(connection: Any) -> bool:
    """Whether *connection* is SQLAlchemy's wrapping of an asynchronous driver's."""
    return isinstance(connection, AdaptedConnection)


def adopt_async(driver: Any, link: Link, real: Any, dialect: Dialect) -> Any:
    """Return a stand-in for the asynchronous *real*, with what was set on it, and close it."""
    made = driver.adopt(link, real._connection)
    link.set_up(await_only(driver.session_of(real._connection)))
    adapted = driver.adapted(dialect, made, {})
    real.close()
    return adapted
