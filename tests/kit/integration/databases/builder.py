"""A process that builds a template, and can be killed at each moment of it.

::

    python -m tests.kit.integration.databases.builder <socket folder> <name> <moment>

It prints the moment when it has come there, and waits for the end of its input.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from psycopg2.extensions import connection as Connection

from pgsandbox import databases
from pgsandbox.databases import admin
from pgsandbox.databases.lease import Leases
from tests.kit.integration.databases.conftest import LocalServer


@dataclass
class TableTemplate:
    """A template with one table, which counts how often it is built."""

    server: LocalServer
    name: str = "shop_0123456789abcdef_template"
    owner: str = "/srv/shop"
    lasts: bool = True
    origin: str | None = None
    inputs: str | None = "as they are"
    meanwhile: Callable[[str], None] = field(default=lambda _: None)
    built: list[str] = field(default_factory=list)

    def build(self, name: str) -> str | None:
        """Make a table, and do what is to be done in the midst of it."""
        self.built.append(name)
        self.server.run("create table items (id int)", database=name)
        self.meanwhile(name)
        return self.inputs

    def is_current(self, inputs: str) -> bool:
        """Whether the inputs are those of this specification."""
        return inputs == self.inputs


def main(folder: str, name: str, moment: str) -> None:
    """Build, and stop at *moment*: building, publishing or using."""
    server = LocalServer(Path(folder))

    def stop(*_: object) -> None:
        print(moment, flush=True)
        sys.stdin.read()

    specification = TableTemplate(server, name)
    if moment == "building":
        specification.meanwhile = stop
    if moment == "publishing":
        _stop_before_the_mark(stop)
    leases = Leases(server)
    template = databases.obtain(server, leases, specification)
    assert template is not None
    stop()
    databases.release(server, leases, template)


def _stop_before_the_mark(stop: Callable[[], None]) -> None:
    mark = admin.mark

    def stopping(connection: Connection, *args: object, **keywords: object) -> object:
        stop()
        return mark(connection, *args, **keywords)  # type: ignore[arg-type]

    admin.mark = stopping  # type: ignore[assignment]


if __name__ == "__main__":
    main(*sys.argv[1:])
