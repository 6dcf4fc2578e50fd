"""The differences of differences.toml, and databases that have them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg2.extensions import connection as Connection

from pgsandbox.schema.catalog import read_catalog
from pgsandbox.schema.schema_objects import Catalog

HERE = Path(__file__).parent
_BACK = {"missing": "unexpected", "unexpected": "missing"}


@dataclass(frozen=True)
class Seeded:
    """One difference, made by a statement."""

    section: str
    """What it is a difference of."""
    code: str
    """What is found in the changed database."""
    object: str
    """Where."""
    change: str
    """The statements that make it."""
    back: str
    """What is found if the databases change places."""
    reversed: str
    """Where."""
    since: int
    """The first version of PostgreSQL that has it."""
    statement: str | None
    """What reconciles it, where that is safe to say."""
    leaves: tuple[str, ...]
    """What the statement that reconciles it leaves to be found."""

    def __str__(self) -> str:
        """Its name among the tests."""
        return f"{self.code}: {' '.join(self.change.split())[:70]}"


@cache
def seeded() -> tuple[Seeded, ...]:
    """All of them."""
    document = tomllib.loads((HERE / "differences.toml").read_text("utf-8"))
    return tuple(_seeded(entry) for entry in document["difference"])


def _seeded(entry: dict[str, str]) -> Seeded:
    head, _, tail = entry["code"].rpartition("-")
    return Seeded(
        section=entry["in"],
        code=entry["code"],
        object=entry["object"],
        change=entry["change"],
        back=entry.get("back", f"{head}-{_BACK.get(tail, tail)}"),
        reversed=entry.get("reversed", entry["object"]),
        since=int(entry.get("since", 0)),
        statement=entry.get("statement"),
        leaves=tuple(entry.get("leaves", ())),
    )


class Laboratory:
    """A database in which each difference is made and undone."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.version = connection.server_version // 10000
        self.execute((HERE / "base.sql").read_text("utf-8"))
        connection.commit()
        self._read: dict[tuple[str, ...], Catalog] = {}
        self.base = self.changed()

    def differences(self, section: str) -> list[Seeded]:
        """Those of *section* that this version of the server knows."""
        return [each for each in seeded() if each.section == section and each.since <= self.version]

    def execute(self, statements: str) -> None:
        """Run *statements* in the open transaction."""
        with self.connection.cursor() as cursor:
            cursor.execute(statements)

    def changed(self, *changes: str) -> Catalog:
        """The catalog after *changes*, which are undone again."""
        if changes not in self._read:
            self.connection.rollback()
            for change in changes:
                self.execute(change)
            self._read[changes] = read_catalog(self.connection)
            self.connection.rollback()
        return self._read[changes]
