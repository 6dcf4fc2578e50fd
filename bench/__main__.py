"""``python -m bench``: measure, print, and record where asked to."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from bench import rows
from bench.rows import Table
from pgsandbox import servers

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Print the tables; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write bench/results")
    parser.add_argument("--short", action="store_true", help="100 tests, no slow contender")
    options = parser.parse_args()
    server = servers.embedded(reason="for the benchmark")
    try:
        url = server.url.render_as_string(hide_password=False)
        tables = _tables(url, is_short=options.short)
        about = f"{_machine()}, PostgreSQL {server.version_text} (embedded, durability off)"
    finally:
        server.release()
    report = _report(tables, about)
    sys.stdout.write(report)
    if options.record:
        RESULTS.mkdir(exist_ok=True)
        file = RESULTS / "latest.md"
        file.write_text(report)
        sys.stderr.write(f"recorded in {file}\n")
    missed = [name for table in tables for name, found, limit in table.targets if found > limit]
    return 1 if missed else 0


def _tables(url: str, *, is_short: bool) -> list[Table]:
    if is_short:
        return [
            rows.isolation(url, 100, count=3, is_long=False),
            rows.plugin_import(count=10),
        ]
    return [
        rows.isolation(url, 100, count=5, is_long=True),
        rows.isolation(url, 500, count=7, is_long=False),
        rows.isolation(url, 2000, count=3, is_long=False),
        rows.workers(url, 2000, count=3),
        rows.without_database(url, 2000, count=5),
        rows.plugin_import(count=30),
        rows.second_run(url, count=9),
        rows.embedded_starts(count=5),
    ]


def _machine() -> str:
    packages = ("sqlalchemy", "psycopg2-binary", "pytest", "factory-boy", "pytest-postgresql")
    return ", ".join(
        [
            f"{os.cpu_count()} cores",
            f"load {os.getloadavg()[0]:.1f} at the end",
            platform.platform(),
            f"Python {platform.python_version()}",
            *(f"{name} {version(name)}" for name in packages),
        ]
    )


def _report(tables: list[Table], about: str) -> str:
    date = dt.datetime.now(dt.UTC).date()
    parts = ["# Measured by the benchmark\n", *_section("machine", [f"{date}: {about}.\n"])]
    for table in tables:
        parts.append(f"## {table.title}\n")
        parts.extend(_section(table.name, _cells(table)))
    return "\n".join(parts) + "\n"


def _cells(table: Table) -> list[str]:
    rows = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    said = []
    for name, found, limit in table.targets:
        verdict = "reached" if found <= limit else "missed"
        said.append(f"Target: {name} at most {limit:.2f}. Found {found:.2f}: {verdict}.\n")
    return [*lines, "", *said]


def _section(name: str, lines: list[str]) -> list[str]:
    """Return *lines* as a section that the site's pages can include."""
    return [f"<!-- --8<-- [start:{name}] -->", *lines, f"<!-- --8<-- [end:{name}] -->\n"]


sys.exit(main())
