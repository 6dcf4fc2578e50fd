"""What a statement reads and writes, as the server itself has analysed it.

A function whose body is SQL is kept as the server has read it (PostgreSQL manual, CREATE FUNCTION,
``sql_body``): each relation with the columns that are selected, inserted and updated, which is what
it checks permissions by, and each constant with its type. So a statement becomes the body of a
temporary function that nobody calls. Names, ``SELECT *``, subqueries and CTEs are resolved by the
only one who knows. The text of that is the server's own (``pg_node_tree``), not SQL.
"""

from __future__ import annotations

import contextlib
import re
import sys
from dataclasses import dataclass, field
from typing import Any

_FIRST_COLUMN = 7
"""Columns are counted from the system's, of which there are so many (``sysattr.h``)."""
_PERMISSIONS = re.compile(
    r":relid (\d+) (?:(?!:relid ).)*?:requiredPerms (\d+) :checkAsUser \d+ "
    r":selectedCols \(b([^)]*)\) :insertedCols \(b([^)]*)\) :updatedCols \(b([^)]*)\)",
    re.DOTALL,
)
_CONSTANT = re.compile(r":consttype (\d+) [^{}]*?:constvalue 4 \[ ([-\d ]+)\]")
_FUNCTION = re.compile(r":(?:funcid|winfnoid|aggfnoid) (\d+)")
_ORDERS = re.compile(r"\border\s+by\b", re.IGNORECASE)
_INSERT, _SELECT, _UPDATE = 1, 2, 4
"""Permissions (``parsenodes.h``)."""
_NAME = "pgsandbox_statement"


@dataclass
class Touched:
    """What statements touch; tables by oid, columns by table and number."""

    read: set[int] = field(default_factory=set)
    written: set[int] = field(default_factory=set)
    columns_read: set[tuple[int, int]] = field(default_factory=set)
    columns_written: set[tuple[int, int]] = field(default_factory=set)
    constants: set[tuple[int, int]] = field(default_factory=set)
    """Type and value of each constant; an enum's is the oid of its row in ``pg_enum``."""
    functions: set[int] = field(default_factory=set)
    parameters: tuple[str, ...] = ()
    """The types of its parameters."""
    indexes: set[str] = field(default_factory=set)
    """The indexes that its plan would use if tables were large, and those of ON CONFLICT."""

    def add(self, other: Touched) -> None:
        """Add what another statement touches."""
        for name, value in vars(self).items():
            if isinstance(value, set):
                value.update(getattr(other, name))


class Reader:
    """Asks one connection, in a transaction of its own that is rolled back."""

    def __init__(self, connection: Any, views: dict[int, str]) -> None:
        self._connection = connection
        self._views = {oid: touched_by(tree) for oid, tree in views.items()}

    def touched(self, statement: str) -> Touched:
        """Return what *statement* touches, also through views.

        Raises:
            Exception: the driver's, where the server does not understand it in this schema.
        """
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                cursor.execute(f"PREPARE {_NAME} AS {statement}")
                cursor.execute(
                    "SELECT parameter_types::text[] FROM pg_prepared_statements "
                    f"WHERE name = '{_NAME}'"
                )
                types: list[str] = cursor.fetchone()[0] or []
                plan = self._plan(cursor, statement, types)
                cursor.execute(
                    f"CREATE FUNCTION pg_temp.{_NAME}({', '.join(types)}) RETURNS void "
                    f"BEGIN ATOMIC {statement}; END"
                )
                cursor.execute(f"SELECT prosqlbody::text FROM pg_proc WHERE proname = '{_NAME}'")
                found = touched_by(cursor.fetchone()[0])
            finally:
                cursor.execute("ROLLBACK")
                with contextlib.suppress(Exception):  # it was refused
                    cursor.execute(f"DEALLOCATE {_NAME}")
        found.parameters = tuple(types)
        found.indexes = plan
        self._through_views(found)
        return found

    def _plan(self, cursor: Any, statement: str, types: list[str]) -> set[str]:
        """Return the indexes that serve it, whatever the size of the tables."""
        cursor.execute("SAVEPOINT plan")
        try:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            nothing = f"({', '.join(['NULL'] * len(types))})" if types else ""
            cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {_NAME}{nothing}")
            (plan,) = cursor.fetchone()[0]
            is_sorted = _ORDERS.search(statement) is not None and "Sort" not in str(plan)
            return set(_indexes_in(plan["Plan"], is_sorted=is_sorted))
        except Exception:  # noqa: BLE001 - not every statement has a plan
            return set()
        finally:
            cursor.execute("ROLLBACK TO SAVEPOINT plan")

    def _through_views(self, touched: Touched) -> None:
        done: set[int] = set()
        while waiting := (touched.read & self._views.keys()) - done:
            for view in waiting:
                done.add(view)
                below = self._views[view]
                touched.read |= below.read
                touched.columns_read |= below.columns_read
                touched.functions |= below.functions


def touched_by(tree: str) -> Touched:
    """Return what an analysed query touches."""
    found = Touched()
    for relation, permissions, selected, inserted, updated in _PERMISSIONS.findall(tree):
        oid, needed = int(relation), int(permissions)
        if needed & _SELECT:
            found.read.add(oid)
        if needed & (_INSERT | _UPDATE):
            found.written.add(oid)
        found.columns_read |= {(oid, number) for number in _columns(selected)}
        found.columns_written |= {(oid, number) for number in _columns(inserted + updated)}
    for kind, value in _CONSTANT.findall(tree):
        octets = bytes(int(each) % 256 for each in value.split()[:4])
        found.constants.add((int(kind), int.from_bytes(octets, sys.byteorder)))
    found.functions |= {int(each) for each in _FUNCTION.findall(tree)}
    return found


def _columns(bits: str) -> list[int]:
    """Return the numbers of columns; 0 is the row as a whole."""
    return [int(each) - _FIRST_COLUMN for each in bits.split() if int(each) >= _FIRST_COLUMN]


def _indexes_in(node: dict[str, Any], *, is_sorted: bool) -> list[str]:
    found = list(node.get("Conflict Arbiter Indexes", ()))
    if "Index Name" in node and ("Index Cond" in node or "Order By" in node or is_sorted):
        found.append(node["Index Name"])
    for below in node.get("Plans", ()):
        found += _indexes_in(below, is_sorted=is_sorted)
    return found
