"""Stand-ins for connections, one module per driver.

A stand-in is what a driver's ``connect`` would have returned: the application, SQLAlchemy's pool
and the driver's own functions take it for a connection. It sends its statements through the sandbox
of the running test, on that test's one physical connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

SUPPORTED: Mapping[str, str] = {
    "psycopg2": "pgsandbox.sandbox.drivers.psycopg2",
    "psycopg": "pgsandbox.sandbox.drivers.psycopg",
    "asyncpg": "pgsandbox.sandbox.drivers.asyncpg",
}
"""SQLAlchemy's driver names, and the modules that stand in for their connections."""

_ASYNCHRONOUS: Mapping[str, str] = {"psycopg": "pgsandbox.sandbox.drivers.psycopg_async"}
"""The same for the asynchronous side of a driver that has both."""


def module_of(driver: str, *, is_async: bool = False) -> ModuleType | None:
    """Return the module that stands in for *driver*'s connections, or None if there is none yet.

    Each has ``Physical``, which wraps a real connection, and ``stand_in(link, parameters)``, which
    returns one stand-in. That of an asynchronous driver has ``adapted(dialect, stand_in,
    parameters)`` as well, which returns it in SQLAlchemy's wrapping.
    """
    name = _ASYNCHRONOUS.get(driver) if is_async else None
    name = name or SUPPORTED.get(driver)
    return import_module(name) if name else None


def asynchronous_of(driver: str) -> str | None:
    """Return *driver* if it has an asynchronous side, otherwise None."""
    return driver if driver in ("asyncpg", *_ASYNCHRONOUS) else None
