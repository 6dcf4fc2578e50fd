"""The plan that the server makes of a statement, on statistics that the test can set.

The planner knows the size of a table by the pages of its file and by ``pg_class.reltuples``
(PostgreSQL manual, 14.2.1 and 53.11). A test's tables are small, and the plan for a small table may
be a sequential scan, whatever indexes there are. So the test says how many rows production has;
that is written into the catalog, and undone with the plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, Executable

from pgsandbox.masking import masked_sql

_SIZE = text(
    "SELECT c.oid::int, pg_relation_size(c.oid) / current_setting('block_size')::int "
    "FROM pg_class c WHERE c.oid = to_regclass(:table) AND c.relkind IN ('r', 'm')"
)
_RESIZE = text("UPDATE pg_class SET reltuples = :rows, relpages = :pages WHERE oid = :oid")
_IS_MODERN = 180_000
_RESIZE_MODERN = text(
    "SELECT pg_restore_relation_stats('schemaname', n.nspname::text, 'relname', c.relname::text, "
    "'relpages', CAST(:pages AS int), 'reltuples', CAST(:rows AS real)) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = :oid"
)


class Plan:
    """How the server would run one statement; ``str()`` is what EXPLAIN prints of it."""

    def __init__(self, statement: str, root: Mapping[str, Any]) -> None:
        self.statement = statement
        """The statement's text."""
        self.root = root
        """The topmost node, as EXPLAIN (FORMAT JSON) gives it."""

    @property
    def indexes(self) -> dict[str, list[str]]:
        """The names of the indexes that it uses, by table."""
        found: dict[str, list[str]] = {}
        for table, node in _walk(self.root, ""):
            if "Index Name" in node:
                found.setdefault(table, []).append(node["Index Name"])
        return found

    def assert_index(self, table: str, index: str | None = None) -> None:
        """Fail unless it uses an index of *table*, or the one of that name.

        Raises:
            AssertionError: it does not; the message has the statement and the plan.
        """
        __tracebackhide__ = True
        used = self.indexes.get(table, [])
        if index in used or (index is None and used):
            return
        wanted = f"the index {index}" if index else f"an index of {table}"
        instead = f"{', '.join(used)} instead" if used else f"none of {table}"
        said = " ".join(masked_sql(self.statement).split())
        raise AssertionError(f"The plan does not use {wanted}, but {instead}.\n\n{said}\n\n{self}")

    def __str__(self) -> str:
        return "\n".join(_lines(self.root, 0))

    __repr__ = __str__


def plan_of(
    engine: Engine,
    statement: str | Executable,
    parameters: Mapping[str, Any] | None,
    rows: Mapping[str, int],
    *,
    version: int,
) -> Plan:
    """Return the plan of *statement*; nothing is left of what was set for it.

    Raises:
        ValueError: a table of *rows* is not there, or has no page to which a size could be given.
    """
    made = text(statement) if isinstance(statement, str) else statement
    with engine.connect() as connection:
        try:
            for table, number in rows.items():
                _resize(connection, table, number, version)
            compiled = made.compile(engine)  # type: ignore[attr-defined]  # all that can be executed
            explained = connection.execute(_Explain(made), dict(parameters or {}))
            (root,) = _parsed(explained.scalar_one())
            return Plan(str(compiled), root["Plan"])
        finally:
            connection.rollback()


def _resize(connection: Connection, table: str, rows: int, version: int) -> None:
    found = connection.execute(_SIZE, {"table": table}).one_or_none()
    if found is None:
        raise ValueError(f"rows names {table!r}, and there is no such table.")
    oid, pages = found
    if pages == 0:
        raise ValueError(
            f"rows names {table!r}, which is empty: the planner takes a table without a page for "
            "empty, whatever the statistics say. Write one row first."
        )
    change = _RESIZE_MODERN if version >= _IS_MODERN else _RESIZE
    connection.execute(change, {"oid": oid, "rows": rows, "pages": pages})


class _Explain(Executable, ClauseElement):
    """EXPLAIN of a statement, with the statement's own parameters."""

    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@compiles(_Explain)
def _explain(element: _Explain, compiler: Any, **more: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **more)}"


def _parsed(said: Any) -> Any:
    return json.loads(said) if isinstance(said, str) else said


def _walk(node: Mapping[str, Any], table: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each node with its table; a bitmap's index is that of the table above."""
    table = node.get("Relation Name", table)
    yield table, node
    for below in node.get("Plans", ()):
        yield from _walk(below, table)


def _lines(node: Mapping[str, Any], depth: int) -> Iterator[str]:
    on = f" on {node['Relation Name']}" if "Relation Name" in node else ""
    using = f" using {node['Index Name']}" if "Index Name" in node else ""
    cost, rows = node.get("Total Cost", 0), node.get("Plan Rows", 0)
    yield f"{'  ' * depth}{node['Node Type']}{using}{on}  (cost={cost} rows={rows})"
    for name in ("Index Cond", "Recheck Cond", "Filter", "Hash Cond", "Join Filter", "Sort Key"):
        if name in node:
            value = node[name]
            said = ", ".join(value) if isinstance(value, list) else value
            yield f"{'  ' * depth}    {name}: {masked_sql(said)}"
    for below in node.get("Plans", ()):
        yield from _lines(below, depth + 1)
