"""A drawing of a schema, from the catalog of a database that has it.

Tables stand in columns by what they refer to: what refers to nothing on the left, each other table
to the right of all that it refers to. A foreign key is a line from its column to the table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from html import escape

from pgsandbox.schema.schema_objects import Catalog, SchemaObject

_ROW, _HEAD, _WIDTH = 18, 26, 206
_GAP_ACROSS, _GAP_DOWN, _MARGIN = 64, 22, 4
_FOREIGN_KEY = re.compile(r"FOREIGN KEY \(\"?(\w+)\"?\) REFERENCES (?:\w+\.)?(\w+)\(")
_SHORT = {"timestamp with time zone": "timestamptz", "character varying": "varchar"}


def drawn(catalog: Catalog, title: str) -> str:
    """Return the schema of *catalog* as SVG in the colours of the page that it stands in."""
    tables = {each.name: each for each in catalog.objects.values() if each.label == "table"}
    columns = {name: _columns(catalog, table) for name, table in tables.items()}
    references = {name: _references(catalog, table) for name, table in tables.items()}
    places = _places(columns, references)
    width = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    longest = max(len(each) for each in references.values())
    floor = max(y + _height(columns[name]) for name, (_, y) in places.items())
    height = floor + 10 * longest + _MARGIN
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'aria-labelledby="schema-title" font-family="inherit" font-size="12" '
            'fill="currentColor">'
        ),
        f'<title id="schema-title">{escape(title)}</title>',
    ]
    for name in sorted(tables):
        parts += _table(name, columns[name], *places[name])
    for name in sorted(references):
        parts += _lines(name, columns, references[name], places)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _columns(catalog: Catalog, table: SchemaObject) -> list[tuple[str, str, bool]]:
    """Name and type of each column, and whether it may be null."""
    found = [each for each in catalog.below(table.key) if each.label == "column"]
    return [
        (each.name.strip('"'), _type(each.facets["type"]), "nullability" not in each.facets)
        for each in sorted(found, key=lambda each: each.position)
    ]


def _type(name: str) -> str:
    return _SHORT.get(name.rpartition(".")[2], name.rpartition(".")[2])


def _references(catalog: Catalog, table: SchemaObject) -> dict[str, str]:
    """The table that each column with a foreign key refers to."""
    facets = (" ".join(each.facets.values()) for each in catalog.below(table.key))
    found = (_FOREIGN_KEY.search(each) for each in facets)
    return dict(sorted(match.groups() for match in found if match))


def _places(
    columns: dict[str, list[tuple[str, str, bool]]], references: dict[str, dict[str, str]]
) -> dict[str, tuple[int, int]]:
    def depth(name: str) -> int:
        below = [depth(each) for each in references[name].values() if each != name]
        return 1 + max(below, default=-1)

    stacks: dict[int, int] = defaultdict(lambda: _MARGIN)
    places = {}
    for name in sorted(columns):
        level = depth(name)
        places[name] = (_MARGIN + level * (_WIDTH + _GAP_ACROSS), stacks[level])
        stacks[level] += _height(columns[name]) + _GAP_DOWN
    return places


def _height(columns: list[tuple[str, str, bool]]) -> int:
    return _HEAD + _ROW * len(columns) + 6


def _table(name: str, columns: list[tuple[str, str, bool]], x: int, y: int) -> list[str]:
    parts = [
        (
            f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_height(columns)}" rx="4" '
            'fill="none" stroke="currentColor" stroke-width="1.5"/>'
        ),
        f'<path d="M{x} {y + _HEAD} h{_WIDTH}" stroke="currentColor"/>',
        f'<text x="{x + 8}" y="{y + 18}" font-weight="bold">{escape(name)}</text>',
    ]
    for number, (column, kind, may_be_null) in enumerate(columns):
        line = y + _HEAD + _ROW * number + 14
        said = f"{kind}?" if may_be_null else kind
        parts.append(f'<text x="{x + 8}" y="{line}">{escape(column)}</text>')
        parts.append(
            f'<text x="{x + _WIDTH - 8}" y="{line}" text-anchor="end" opacity="0.7">'
            f"{escape(said)}</text>"
        )
    return parts


def _lines(
    name: str,
    columns: dict[str, list[tuple[str, str, bool]]],
    references: dict[str, str],
    places: dict[str, tuple[int, int]],
) -> list[str]:
    x, y = places[name]
    names = [column for column, _, _ in columns[name]]
    floor = max(top + _height(columns[each]) for each, (_, top) in places.items())
    parts = []
    lane = 0
    for column, other in references.items():
        start = y + _HEAD + _ROW * names.index(column) + 10
        end_x, end_y = places[other][0] + _WIDTH, places[other][1] + _HEAD // 2
        if x - end_x > _GAP_ACROSS:  # other tables stand between: go round them, below all
            lane += 1
            down, up, bottom = x - 10 * lane, end_x + 10 + 6 * lane, floor + 10 * lane
            path = f"M{x} {start} H{down} V{bottom} H{up} V{end_y} H{end_x}"
        else:
            bend = _GAP_ACROSS // 2
            path = f"M{x} {start} C{x - bend} {start} {end_x + bend} {end_y} {end_x} {end_y}"
        parts.append(f'<path d="{path}" fill="none" stroke="currentColor" opacity="0.6"/>')
        parts.append(f'<circle cx="{end_x}" cy="{end_y}" r="3"/>')
    return parts
