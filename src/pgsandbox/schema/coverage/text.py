"""The coverage of a schema as a table in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from pgsandbox.schema.coverage.data import ARRANGED, KINDS, Coverage

_SHOWN = 40
"""Lines of what is missing; the page and the JSON have all."""
_WIDEST = 46


def table_of(coverage: Coverage, *, shown: int = _SHOWN) -> list[str]:
    """Return the lines: each kind with its share, and what no test has touched."""
    return [*_summary(coverage), *_missing(coverage, shown), *_limits(coverage)]


def _summary(coverage: Coverage) -> Iterator[str]:
    touched, count = coverage.count()
    yield (
        f"schema coverage: {coverage.percent:.0f} % ({touched} of {count}), "
        f"from {coverage.statements} different statements"
    )
    rows = [(name, *coverage.count([kind])) for kind, name in KINDS.items()]
    width = max(len(name) for name, _, _ in rows)
    for name, found, of in rows:
        if of:
            yield f"  {name:<{width}}  {100 * found / of:>4.0f} %  {found:>4} of {of}"


def _missing(coverage: Coverage, shown: int) -> Iterator[str]:
    missed = coverage.missed()
    if not missed:
        return
    yield ""
    yield "what no test has touched, the most important first:"
    rows = []
    for each in missed[:shown]:
        part = each.part
        said = each.said
        if part.kind == "table" and each.point == "written":
            said += f" ({coverage.untouched_below(part.table) - 1} more below it)"
        name = part.name if part.name == part.table else f"{part.table}.{part.name}"
        rows.append((part.kind, name, said))
    kinds = max(len(row[0]) for row in rows)
    names = min(_WIDEST, max(len(row[1]) for row in rows))
    for kind, name, said in rows:
        yield f"  {kind:<{kinds}}  {name:<{names}}  {said}"
    if len(missed) > shown:
        yield f"  ... {len(missed) - shown} more: --pg-coverage-html or --pg-coverage-json has all"


def _limits(coverage: Coverage) -> Iterator[str]:
    arranged = sum(
        state == ARRANGED for part in coverage.parts.values() for state in part.points.values()
    )
    lines = [
        (arranged, "touched by the tests' own session alone, which counts"),
        (len(coverage.unknown()), "could not be told, and count for nothing"),
        (len(coverage.opaque), "statements were not understood in this schema"),
        (len(coverage.routines), "functions ran whose bodies are not read"),
    ]
    said = [f"{number} {words}" for number, words in lines if number]
    if said or coverage.notes:
        yield ""
    if said:
        yield "  " + "; ".join(said)
    for note in coverage.notes:
        yield f"  {note}"
