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
    date = dt.datetime.now(dt.UTC).date()
    parts = {"machine": f"{date}: {about}.\n", **{each.name: _cells(each) for each in tables}}
    titles = {each.name: each.title for each in tables}
    for name, text in parts.items():
        sys.stdout.write(f"## {titles.get(name, 'The machine')}\n\n{text}\n")
        if options.record:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.md").write_text(text)
    missed = [name for table in tables for name, found, limit in table.targets if found > limit]
    return 1 if missed else 0


def _tables(url: str, *, is_short: bool) -> list[Table]:
    if is_short:
        return [
            rows.isolation(url, 100, count=3, is_long=False),
            rows.plugin_import(count=10),
        ]
    return [
        rows.isolation(url, 100, count=3, is_long=True),
        rows.isolation(url, 500, count=5, is_long=False),
        rows.isolation(url, 2000, count=2, is_long=False),
        rows.workers(url, 2000, count=2),
        rows.asynchronous(url, 500, count=5),
        rows.findings(url, 500, count=5),
        rows.without_database(url, 2000, count=3),
        rows.plugin_import(count=20),
        rows.second_run(url, count=5),
        rows.embedded_starts(count=3),
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


def _cells(table: Table) -> str:
    """Return the table and its targets as a page includes them."""
    rows = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    for name, found, limit in table.targets:
        verdict = "reached" if found <= limit else "missed"
        lines += ["", f"Target: {name} at most {limit:.2f}. Found {found:.2f}: {verdict}."]
    return "\n".join(lines) + "\n"


sys.exit(main())
