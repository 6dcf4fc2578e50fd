"""The coverage of schemas as HTML pages, after the manner of coverage.py's report.

An index with one line a table, and for each table a page with all its parts: green for what was
touched, red for what was not, yellow for what could not be told or was touched by the tests' own
session alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from pgsandbox.schema.coverage.data import ARRANGED, NO, UNKNOWN, YES, Coverage, Part
from pgsandbox.schema.coverage.files import writing_to

_CLASSES = {YES: "run", ARRANGED: "par", UNKNOWN: "par", NO: "mis"}
_SAID = {
    YES: "yes",
    ARRANGED: "by the tests' own session alone",
    UNKNOWN: "could not be told",
    NO: "no",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; color: #1c1c1c; background: #fff; }
header { background: #f8f8f8; border-bottom: 1px solid #ccc; padding: 1rem 3.5rem; }
main { padding: 1rem 3.5rem; }
h1 { font-size: 1.25em; margin: 0; } h2 { font-size: 1.1em; margin: 1.5rem 0 .5rem; }
.pc { font-size: 1.25em; font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .75rem .25rem .5rem; border-bottom: 1px solid #eee;
  vertical-align: top; }
th { border-bottom: 1px solid #ccc; font-weight: 600; } td.n, th.n { text-align: right; }
tfoot td { font-weight: 600; } a { color: #0b5cad; text-decoration: none; }
tr.run td:first-child { border-left: .2rem solid #00dd00; }
tr.mis { background: #fdd; } tr.mis td:first-child { border-left: .2rem solid #ff0000; }
tr.par { background: #ffa; } tr.par td:first-child { border-left: .2rem solid #bbbb00; }
code { font: 13px/1.4 ui-monospace, monospace; }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #1e1e1e; } header { background: #000; border-color: #333; }
  th, td { border-color: #333; } a { color: #6ab0f3; }
  tr.mis { background: #4b1818; } tr.par { background: #454500; }
}
"""


def write_pages(coverages: Mapping[str, Coverage], folder: Path) -> Path:
    """Write the pages of *coverages*, by the names of their databases; return the first one.

    Raises:
        ConfigurationError: they can't be written there.
    """
    with writing_to(folder):
        return _write_pages(coverages, folder)


def _write_pages(coverages: Mapping[str, Coverage], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.html"
    sections = []
    for database, coverage in coverages.items():
        tables = _by_table(coverage)
        files = _files_of(database, tables)
        for table, parts in tables.items():
            page = _page(f"Schema coverage of {table}", coverage, _of_table(parts))
            (folder / files[table]).write_text(page, "utf-8")
        sections.append((database, coverage, tables, files))
    (first, *_) = coverages.values()
    body = "".join(
        line
        for database, coverage, tables, files in sections
        for line in _of_database(database, coverage, tables, files)
    )
    index.write_text(_page("Schema coverage", first, [body]), "utf-8")
    return index


def _by_table(coverage: Coverage) -> dict[str, list[Part]]:
    tables: dict[str, list[Part]] = {}
    for part in sorted(coverage.parts.values(), key=lambda each: each.table):
        tables.setdefault(part.table, []).append(part)
    return tables


def _files_of(database: str, tables: Mapping[str, object]) -> dict[str, str]:
    """Return a file for each table, whatever its name is made of."""
    files: dict[str, str] = {}
    for number, table in enumerate(tables):
        name = re.sub(r"[^A-Za-z0-9]+", "_", f"{database}_{table}").strip("_")
        is_taken = f"{name}.html" in files.values()
        files[table] = f"{name}_{number}.html" if is_taken else f"{name}.html"
    return files


def _page(title: str, coverage: Coverage, body: Iterator[str] | list[str]) -> str:
    share = f'<span class="pc">{coverage.percent:.0f}%</span>'
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{_STYLE}</style></head>\n<body><header><h1>{escape(title)}: {share}</h1>"
        f"<p>from {coverage.statements} different statements</p></header>\n<main>"
        f"{''.join(body)}</main></body></html>\n"
    )


def _of_database(
    database: str, coverage: Coverage, tables: dict[str, list[Part]], files: dict[str, str]
) -> Iterator[str]:
    yield f"<h2>{escape(database)}</h2>\n<table><thead><tr><th>table or type</th>"
    yield '<th class="n">points</th><th class="n">missing</th><th class="n">coverage</th></tr>'
    yield "</thead><tbody>\n"
    for table, parts in tables.items():
        states = [each for part in parts for each in part.points.values() if each != UNKNOWN]
        missing = states.count(NO)
        link = f'<a href="{files[table]}">{escape(table)}</a>'
        yield f"<tr><td>{link}</td>{_numbers(len(states), missing)}</tr>\n"
    touched, count = coverage.count()
    yield f"</tbody><tfoot><tr><td>total</td>{_numbers(count, count - touched)}</tr></tfoot>"
    yield "</table>\n<h2>What no test has touched</h2>\n<table><thead><tr><th>kind</th>"
    yield "<th>part</th><th>what is missing</th><th>definition</th></tr></thead><tbody>\n"
    for miss in coverage.missed():
        part = miss.part
        cells = (part.kind, f"{part.table}: {part.name}", miss.said)
        yield f'<tr class="mis">{_cells(cells)}<td><code>{escape(part.detail)}</code></td></tr>\n'
    yield "</tbody></table>\n"
    yield from _list(
        "What could not be told", [f"{p.table}: {p.name}" for p, _ in coverage.unknown()]
    )
    yield from _list("Functions that ran, and whose bodies are not read", coverage.routines)
    opaque = [f"{text} ({why})" for text, why in coverage.opaque.items()]
    yield from _list("Statements that were not understood in this schema", opaque)
    yield from _list("What could not be seen in this run", coverage.notes)


def _numbers(count: int, missing: int) -> str:
    share = 100 * (count - missing) / count if count else 100
    return f'<td class="n">{count}</td><td class="n">{missing}</td><td class="n">{share:.0f}%</td>'


def _cells(texts: tuple[str, ...]) -> str:
    return "".join(f"<td>{escape(each)}</td>" for each in texts)


def _list(title: str, items: list[str]) -> Iterator[str]:
    if items:
        yield f"<h2>{escape(title)}</h2>\n<ul>"
        yield from (f"<li><code>{escape(each)}</code></li>\n" for each in items)
        yield "</ul>\n"


def _of_table(parts: list[Part]) -> Iterator[str]:
    yield '<p><a href="index.html">all tables</a></p>\n<table><thead><tr><th>kind</th>'
    yield "<th>name</th><th>what</th><th>by a test</th><th>definition</th></tr></thead><tbody>\n"
    for part in parts:
        for point, state in part.points.items():
            cells = _cells((part.kind, part.name, point, _SAID[state]))
            detail = f"<td><code>{escape(part.detail)}</code></td>"
            yield f'<tr class="{_CLASSES[state]}">{cells}{detail}</tr>\n'
    yield "</tbody></table>\n"
