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
}
"""SQLAlchemy's driver names, and the modules that stand in for their connections."""


def module_of(driver: str) -> ModuleType | None:
    """Return the module that stands in for *driver*'s connections, or None if there is none yet.

    Each has ``Physical(raw)``, which wraps a real connection, and ``stand_in(link,
    parameters)``, which returns one stand-in.
    """
    name = SUPPORTED.get(driver)
    return import_module(name) if name else None
